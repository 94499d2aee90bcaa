// The module that workerd runs: a Worker in JavaScript that hands each event to the Worker in Python.
//
// workerd's own support for Python fetches its copy of Pyodide from the internet; npm's Pyodide stands in for it here.
// Everything else is real: the bindings, the events, the I/O, and the upload that wrangler made.
import { WorkerEntrypoint } from "cloudflare:workers";
import { python } from "./boot.mjs";

export default class extends WorkerEntrypoint {
  async fetch(request) {
    try {
      return await this.#call("fetch", request);
    } catch (error) {
      return new Response(`${error.message ?? error}`, { status: 500, headers: { "x-uncaught": "python" } });
    }
  }

  async scheduled(controller) {
    await this.#call("scheduled", controller);
  }

  // A Worker is made anew for each event. Classes get undefined in place of env and ctx, as in workerd.
  async #call(name, event) {
    const { main, call } = await python();
    const worker = main.Default(this.ctx, this.env);
    try {
      return await call(worker, name, event, undefined, undefined);
    } finally {
      worker.destroy();
    }
  }
}
