export const run = {
  run() {
    console.log('hello from js');
  },
};
