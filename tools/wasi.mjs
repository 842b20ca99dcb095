// Runs a program for wasm32-wasip1: node tools/wasi.mjs PROGRAM.wasm [ARGUMENT…]
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';

// Node.js 20 needs this; it is the default in later versions.
setFlagsFromString('--experimental-wasm-relaxed-simd');
process.removeAllListeners('warning');
const { WASI } = await import('node:wasi');

const args = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens: { '/': '/' } });
const module = await WebAssembly.compile(await readFile(args[0]));
const imports = wasi.getImportObject();
// Later WASI C libraries report through these functions that there are no threads (ENOTSUP).
const threads = {
  pthread_attr_init: 0,
  pthread_attr_setstacksize: 0,
  pthread_attr_destroy: 0,
  pthread_create: 58,
};
// Other missing functions are never called.
imports.env = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  if (from === 'env') {
    imports.env[name] = () => {
      if (name in threads) return threads[name];
      throw new Error(`${name} is not in this C library`);
    };
  }
}
const instance = await WebAssembly.instantiate(module, imports);
process.exitCode = wasi.start(instance);
