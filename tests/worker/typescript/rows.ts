// Prints what the cases on standard input become for PostgreSQL, one a line: a name, params and options each.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [file] = process.argv.slice(2);
const { insertJob } = await import(pathToFileURL(String(file)).href);
for (const [name, params, options] of JSON.parse(readFileSync(0, "utf8"))) {
  let row: unknown;
  try {
    const due = options.scheduledFor === undefined ? {} : { scheduledFor: new Date(options.scheduledFor) };
    row = await insertJob("postgresql", name, params, { ...options, ...due });
  } catch (error) {
    row = String(error);
  }
  process.stdout.write(`${JSON.stringify(row)}\n`);
}
