// workerd compiles WebAssembly ahead of time only. Pyodide compiles when it loads a library: its binding UNSAFE_EVAL does it.
import { env } from "cloudflare:workers";
import pyodide from "./pyodide.asm.wasm";

const Module = WebAssembly.Module;
const instantiate = WebAssembly.instantiate.bind(WebAssembly);

export function replaceWebAssembly() {
  WebAssembly.Module = new Proxy(Module, { construct: (_target, [code]) => compiled(code) });
  WebAssembly.compile = async (code) => compiled(code);
  WebAssembly.instantiate = instantiateAny;
  // Called once, for Pyodide itself.
  WebAssembly.instantiateStreaming = async (_response, imports) => withInstance(pyodide, imports);
}

function compiled(code) {
  if (code instanceof Module) return code;
  return env.UNSAFE_EVAL.newWasmModule(code instanceof ArrayBuffer ? new Uint8Array(code) : code);
}

// As the original: a module gives an instance, code gives both.
async function instantiateAny(code, imports) {
  return code instanceof Module ? instantiate(code, imports) : withInstance(compiled(code), imports);
}

async function withInstance(module, imports) {
  return { module, instance: await instantiate(module, imports) };
}
