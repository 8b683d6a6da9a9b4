// usage: node componentize.mjs SOURCE.js WIT_FOLDER WORLD OUT.wasm
import { readFile, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [source, witPath, worldName, out] = process.argv.slice(2);
// What is not disabled becomes an import of the component, used or not; no guest here makes requests.
const { component } = await componentize(await readFile(source, 'utf8'), {
  witPath,
  worldName,
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(out, component);
