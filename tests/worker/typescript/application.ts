// An application in TypeScript: it puts one job into the table, sends another over HTTP, and prints what came of it.

import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { batchEventsOf, eventsOf, insertJob, JobsClient, RefusedError } from "./jobs.ts";
import type { CompletionJob, SendEmailParams } from "./jobs.ts";

const [path, url, token, keySecret] = process.argv.slice(2);
if (path === undefined || url === undefined || token === undefined || keySecret === undefined) {
  throw new Error("a database, a URL, a token and a secret");
}

const database = new DatabaseSync(path);
const client = new JobsClient({ url, token });
const message = (subject: string): SendEmailParams => ({ to: ["ada@example.com"], subject, body: "Grüße, 😀" });

async function insert(subject: string): Promise<{ id: string; isStored: boolean }> {
  const options = { correlationId: "ts", keySecret: String(keySecret) };
  const { id, sql, parameters } = await insertJob("sqlite", "SendEmail", message(subject), options);
  return { id, isStored: database.prepare(sql).all(...parameters).length === 1 };
}

async function refused(): Promise<unknown> {
  try {
    await client.enqueue("SendEmail", { ...message("."), to: [] }, { correlationId: "ts" });
  } catch (error) {
    if (error instanceof RefusedError) return { status: error.status, errors: error.errors };
    throw error;
  }
  return null;
}

const inserted = await insert("Inserted");
const insertedAgain = await insert("Inserted");
const sent = await client.enqueue("SendEmail", message("Sent"), { priority: 20, delaySeconds: 0 });
const sentAgain = await client.enqueue("SendEmail", message("Inserted"));
const digest: CompletionJob = { name: "DailyDigest", params: { recipients: ["ada@example.com"] }, options: { priority: 3 } };
const many = await client.enqueueMany("SendEmail", [message("First"), message("Second")], { priority: 5, then: digest });
process.stdout.write(
  `${JSON.stringify({ inserted, insertedAgain, sent, sentAgain, many, refused: await refused() })}\n`,
);

// The worker runs meanwhile; the stream ends with the job.
const statuses: string[] = [];
for await (const event of client.events(sent.id)) statuses.push(event.status);
const linked: string[] = [];
const [link, batchLink] = readFileSync(0, "utf-8").split("\n");
for await (const event of eventsOf(String(link))) linked.push(event.status);
const counts: number[] = [];
for await (const event of client.batchEvents(many.id)) counts.push(event.completed);
for await (const event of batchEventsOf(String(batchLink))) counts.push(event.completed);
const last = (await client.job(many.id)).status;
const finished = (await client.batchResults(many)).map((one) => [one.id, one.status]);
const again = (await client.batchResults({ ...many, id: "none", jobs: [{ id: sent.id, created: false }] })).map((one) => one.id);
const results = [];
for (const id of [inserted.id, sent.id]) results.push(await client.job<"SendEmail">(id));
process.stdout.write(
  `${JSON.stringify({ statuses, linked, counts, last, transports: results.map((one) => one.result?.transport), jobs: results.map((one) => one.status), finished, again })}\n`,
);
