// Boots npm's Pyodide inside workerd, lays out the upload, and imports the main module under the rules of a deployment.
import * as workersModule from "cloudflare:workers";
import * as socketsModule from "cloudflare:sockets";
import standardLibrary from "./python_stdlib.zip";
import upload from "./upload.tar";
import dispatch from "./dispatch.py";
import globalScope from "./global_scope.py";
import { allowEntropy } from "./entropy.mjs";
import { replaceWebAssembly } from "./web_assembly.mjs";

const NOWHERE = "http://pyodide.invalid/"; // nothing is ever fetched from there
const FOLDER = "/session/metadata"; // where Cloudflare lays out an upload

let booting; // in the first event: outside of events a Worker has neither entropy nor timers

// Gives the main module, and the function that calls its classes. The Worker and its objects in one isolate share them.
export function python() {
  return (booting ??= boot());
}

async function boot() {
  const started = Date.now();
  const python = await loadPython();
  const loaded = Date.now();
  layOut(python);
  registerHelpers(python);
  const rules = run(python, globalScope);
  const laidOut = Date.now();
  const modules = countModules(python);
  const main = importMain(python, rules);
  const { call, check } = run(python, dispatch);
  check(main, workersModule.env.PYTHON_OBJECTS);
  const spent = `pyodide ${loaded - started} ms, upload ${laidOut - loaded} ms, import ${Date.now() - laidOut} ms`;
  console.log(`booted: ${spent}, ${countModules(python) - modules} modules`);
  return { main, call };
}

function countModules(python) {
  return python.runPython("__import__('sys').modules.__len__()");
}

function importMain(python, rules) {
  rules.begin();
  const main = python.pyimport(workersModule.env.PYTHON_MAIN);
  rules.end();
  return main;
}

async function loadPython() {
  replaceWebAssembly();
  const restore = replaceGlobals(browserLookalike());
  try {
    const { loadPyodide } = await import("./pyodide.mjs");
    const { default: createPyodideModule } = await import("./pyodide.asm.mjs");
    const lockFileContents = { info: workersModule.env.PYODIDE, packages: {} };
    const env = { HOME: "/session", PYTHONHASHSEED: "111" };
    return await loadPyodide({ createPyodideModule, lockFileContents, env, indexURL: NOWHERE, packageBaseUrl: NOWHERE });
  } finally {
    restore();
  }
}

// Pyodide knows browsers and Node. While it loads, workerd looks like a browser, whose `process` is not Node's.
function browserLookalike() {
  const fetchNothing = async (url) => new Response(String(url).endsWith("python_stdlib.zip") ? standardLibrary : "");
  const document = { createElement() {} };
  const addEventListener = () => {}; // some versions of workerd refuse Pyodide's options
  const window = globalThis;
  return { process: undefined, location: NOWHERE, window, document, sessionStorage: {}, addEventListener, fetch: fetchNothing };
}

function replaceGlobals(values) {
  const hidden = Object.fromEntries(Object.keys(values).map((name) => [name, globalThis[name]]));
  Object.assign(globalThis, values);
  return () => {
    for (const [name, value] of Object.entries(hidden)) {
      if (value === undefined) delete globalThis[name];
      else globalThis[name] = value;
    }
  };
}

function layOut(python) {
  python.FS.mkdirTree(FOLDER);
  python.unpackArchive(upload, "tar", { extractDir: FOLDER });
}

// What the Python files beside this one import, and what the package `workers` imports of Cloudflare's runtime.
function registerHelpers(python) {
  python.registerJsModule("worker_host", { FOLDER, allowEntropy });
  python.registerJsModule("_pyodide_entrypoint_helper", {
    cloudflareWorkersModule: workersModule,
    cloudflareSocketsModule: socketsModule,
    workerEntrypoint: workersModule.WorkerEntrypoint,
    doAnImport: (name) => import(name),
    patchWaitUntil() {},
  });
  python.registerJsModule("_cloudflare_compat_flags", {
    enable_python_external_sdk: true,
    python_request_headers_preserve_commas: true,
    python_workflows_implicit_dependencies: true,
  });
}

// Runs one of the Python files beside this one; gives what it defines.
function run(python, source) {
  const globals = python.toPy({ __name__: "worker_host" });
  python.runPython(source, { globals });
  return Object.fromEntries([...globals.keys()].map((name) => [name, globals.get(name)]));
}
