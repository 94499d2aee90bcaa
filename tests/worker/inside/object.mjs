// The JavaScript classes of Durable Objects. Each hands its calls to the class of the same name in the main module.
import { DurableObject } from "cloudflare:workers";
import { python } from "./boot.mjs";

export function objectClass(name) {
  return class extends DurableObject {
    constructor(ctx, env) {
      super(ctx, env);
      const object = make(name, ctx, env);
      object.catch(() => {}); // whoever calls the object gets the error
      // Only Python knows the methods, as in workerd.
      return new Proxy(this, {
        get: (target, method, receiver) =>
          typeof method === "string" ? (...values) => run(object, method, values) : Reflect.get(target, method, receiver),
      });
    }
  };
}

async function make(name, ctx, env) {
  const { main, call } = await python();
  return { instance: main[name](ctx, env), call };
}

async function run(object, method, values) {
  const { instance, call } = await object;
  return await call(instance, method, ...values);
}
