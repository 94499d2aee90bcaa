// What the compiler takes of the types of this repository's jobs, and what it refuses.

import { insertJob, JobsClient } from "./jobs.ts";
import type { CompletionJob, Enqueued, EnqueuedBatch, Job, JobName, JobParams, JobResults, SendEmailParams } from "./jobs.ts";

const client = new JobsClient({ url: "http://127.0.0.1/_jobs", token: "…" });
const message: SendEmailParams = { to: ["ada@example.com"], subject: "Hello", body: "." };

export const names: JobName[] = ["DailyDigest", "ImportCsv", "SendEmail"];
// @ts-expect-error There is no such job.
export const unknownName: JobName = "SendLetter";

export const stored: Promise<Enqueued<"SendEmail">> = client.enqueue("SendEmail", message, { priority: 1 });
const digest: CompletionJob = { name: "DailyDigest", params: { recipients: ["ada@example.com"] } };
export const many: Promise<EnqueuedBatch<"SendEmail">> = client.enqueueMany("SendEmail", [message], { then: digest });
export const ended: Promise<Job<"SendEmail">[]> = many.then((batch) => client.batchResults(batch));
export const statement = insertJob("sqlite", "SendEmail", { ...message, cc: [], html: "<p>.</p>" }, { delaySeconds: 5 });
export const imported: JobParams["ImportCsv"] = {
  source: "a.csv",
  table: "a",
  key: "id",
  columns: [{ name: "id", type: "integer", required: true }, { name: "b" }],
};

// @ts-expect-error A property that the spec requires is missing.
void client.enqueue("SendEmail", { to: ["ada@example.com"], subject: "Hello" });
// @ts-expect-error The params of one job are no list.
void client.enqueueMany("SendEmail", message);
// @ts-expect-error The params of the completion job are those of another job.
void client.enqueueMany("SendEmail", [message], { then: { ...digest, params: message } });
// @ts-expect-error A value of another type.
void client.enqueue("SendEmail", { ...message, to: "ada@example.com" });
// @ts-expect-error A property that the spec does not know.
void client.enqueue("SendEmail", { ...message, too: [] });
// @ts-expect-error The params of another job.
void client.enqueue("ImportCsv", message);
// @ts-expect-error null is not the same as left out.
void client.enqueue("SendEmail", { ...message, html: null });
// @ts-expect-error A word that is none of the enumeration.
imported.columns.push({ name: "c", type: "date" });
// @ts-expect-error An option that there is not.
void client.enqueue("SendEmail", message, { delay: 5 });
// @ts-expect-error There is no such database.
void insertJob("mysql", "SendEmail", message);

/** The name of a job tells of which type its result is. */
export function summary(job: Job): string {
  switch (job.job_name) {
    case "SendEmail": {
      const transport: "outbox" | "smtp" | undefined = job.result?.transport;
      // @ts-expect-error The result of another job.
      void job.result?.rowsRead;
      return transport ?? "";
    }
    case "ImportCsv":
      return String(job.result?.rejected.map((row) => row.problems.length));
    case "DailyDigest":
      return job.result?.emailJobId ?? "";
  }
}

export const result: JobResults["SendEmail"] = {
  messageId: "<1@example.com>",
  sentAt: "2026-03-29T08:30:00Z",
  transport: "smtp",
  recipients: [],
  // @ts-expect-error A definition inside the result.
  refused: [{ address: "ada@example.com" }],
};
