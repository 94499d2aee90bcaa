// Serves one Worker in workerd and takes orders: `node harness.mjs '{"project": ..., "upload": ..., "port": 0}'`.
//
// `project` is the folder of wrangler.jsonc, `upload` a tar of what wrangler would upload. Orders are JSON lines on
// standard input and answers JSON lines on standard output; what the Worker logs goes to standard error. It ends with
// its standard input: whoever started it need not stop it, not even when it is killed.
//
// Workers are reached with `dispatchFetch` only. What `getWorker` and `getD1Database` give blocks this thread until
// workerd answers, and workerd waits when nobody reads what it logs: each would wait for the other.
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";

const require = createRequire(import.meta.url);
const wrangler = require("wrangler");
const HERE = import.meta.dirname;
const PYODIDE = path.dirname(require.resolve("pyodide/package.json"));
const DATABASE = `${randomUUID()}.invalid`; // a host that no other program on this machine can ask for

console.log = console.error; // standard output is for answers
// The code of Pyodide is in a few lines of 1.2 MB, which Node would print with an error from one of them.
process.on("uncaughtException", (error) => end(`${error.message}`.slice(0, 3000), 1));

let started; // what is to be ended
const { project, upload, port } = JSON.parse(process.argv[2]);
const server = (started = new Miniflare(convertV4MiniflareOptions(options())));
const url = await server.ready;
answer({ url: String(url) });
readline.createInterface({ input: process.stdin }).on("line", obey).on("close", () => end());

function options() {
  const config = wrangler.unstable_readConfig({ config: path.join(project, "wrangler.jsonc") });
  const { workerOptions } = wrangler.unstable_getMiniflareWorkerOptions(config.configPath);
  const compatibilityDate = workerOptions.compatibilityDate;
  const { d1Databases, durableObjects } = workerOptions;
  const classes = [...new Set(Object.values(durableObjects).map(({ className }) => className))];
  const main = {
    name: "main",
    compatibilityDate,
    // With this flag workerd would fetch a Pyodide of its own.
    compatibilityFlags: workerOptions.compatibilityFlags.filter((flag) => !flag.startsWith("python_workers")),
    d1Databases,
    durableObjects,
    bindings: { ...workerOptions.bindings, ...bindings(config, classes) },
    unsafeEvalBinding: "UNSAFE_EVAL",
    modules: modules(classes),
  };
  const database = {
    name: "database",
    compatibilityDate,
    d1Databases,
    routes: [`${DATABASE}/*`],
    modules: [module_("ESModule", "database.mjs")],
  };
  return {
    host: "127.0.0.1",
    port,
    cf: false,
    telemetry: { enabled: false },
    log: new Log(LogLevel.WARN),
    handleStructuredLogs: ({ level, message }) => process.stderr.write(`${level}: ${message}\n`),
    resourcePersistencePath: path.join(project, ".wrangler/state/v3"), // where wrangler's migrations were applied
    unsafeTriggerHandlers: true,
    workers: [main, database], // the first one has what no route matches
  };
}

// For the modules that run in workerd.
function bindings(config, classes) {
  const { info } = JSON.parse(fs.readFileSync(path.join(PYODIDE, "pyodide-lock.json"), "utf8"));
  return { PYTHON_MAIN: path.basename(config.main, ".py"), PYTHON_OBJECTS: classes, PYODIDE: info };
}

// The first one is the Worker. They import each other by these names.
function modules(classes) {
  return [
    { type: "ESModule", path: "main.mjs", contents: mainModule(classes) },
    ...["worker.mjs", "object.mjs", "boot.mjs", "entropy.mjs", "web_assembly.mjs"].map((name) => module_("ESModule", name)),
    ...["dispatch.py", "global_scope.py"].map((name) => module_("Text", name)),
    ...["pyodide.mjs", "pyodide.asm.mjs"].map((name) => module_("ESModule", name, PYODIDE)),
    module_("CompiledWasm", "pyodide.asm.wasm", PYODIDE),
    module_("Data", "python_stdlib.zip", PYODIDE),
    { type: "Data", path: "upload.tar", contents: fs.readFileSync(upload) },
  ];
}

// workerd asks the main module for a class of each name in wrangler.jsonc.
function mainModule(classes) {
  const objects = classes.map((name) => `export const ${name} = objectClass("${name}");`);
  return ['export { default } from "./worker.mjs";', 'import { objectClass } from "./object.mjs";', ...objects].join("\n");
}

function module_(type, name, folder = path.join(HERE, "inside")) {
  const encoding = type === "ESModule" || type === "Text" ? "utf8" : undefined;
  return { type, path: name, contents: fs.readFileSync(path.join(folder, name), encoding) };
}

const ORDERS = {
  // An event of the cron trigger, as Cloudflare sends it.
  scheduled: async ({ cron }) => {
    const event = new URLSearchParams({ cron, time: Date.now(), format: "json" });
    const response = await server.dispatchFetch(new URL(`/cdn-cgi/local/scheduled?${event}`, url));
    return parsed(await response.text());
  },
  // Statements of one transaction; the rows of each.
  sql: async ({ statements }) => {
    const body = JSON.stringify(statements);
    const response = await server.dispatchFetch(`http://${DATABASE}/`, { method: "POST", body });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return parsed(text);
  },
};

// Where something goes wrong, miniflare answers with words.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(text);
  }
}

async function obey(line) {
  const { id, order, ...details } = JSON.parse(line);
  try {
    answer({ id, value: await ORDERS[order](details) });
  } catch (error) {
    const cause = error.cause ? ` (${error.cause.code}: ${error.cause.message})` : ""; // `fetch failed` alone says little
    answer({ id, error: `${error.message}${cause}`.slice(0, 3000) });
  }
}

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function end(reason, status = 0) {
  if (reason) process.stderr.write(`${reason}\n`);
  await started?.dispose().catch(() => {});
  process.exit(status);
}
