// usage: node compile.mjs SOURCE.c OUT.wasm
import { readFile, writeFile } from 'node:fs/promises';
import { runClang } from '@yowasp/clang';

const [source, out] = process.argv.slice(2);
// The compiler sees a file system of its own, with nothing in it but the source.
const files = await runClang(
  ['clang', '--target=wasm32-wasip1', '-Os', '-Wall', '-Werror', '-Wl,--strip-all', '-o', 'guest.wasm', 'guest.c'],
  { 'guest.c': await readFile(source) },
  { fetchProgress: () => {} },
);
await writeFile(out, files['guest.wasm']);
