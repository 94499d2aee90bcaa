"""The generated client follows a job until it is finished, in Node and with scripted answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from server_jobs_outputs.typescript.module import typescript_text

from tests.worker.tools import NODE

PROGRAM = """\
import { eventsOf, JobsClient, RefusedError, UnreachableError } from "./jobs.ts";

const text = (name, progress, status = "running") =>
  `event: ${name}\\ndata: ${JSON.stringify({ status, progress, message: null, attempt_count: 1 })}\\n\\n`;
const broken = () => {
  const parts = [new TextEncoder().encode(text("progress", 20))];
  const pull = (stream) => (parts.length ? stream.enqueue(parts.pop()) : stream.error(new TypeError("terminated")));
  return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
};
const away = () => { throw new TypeError("fetch failed"); };
const refused = (status) => () => new Response("{}", { status });
const ended = () => new Response(text("end", 100, "completed"));
const stopped = () => new Response(text("progress", 10));
globalThis.setTimeout = (run) => queueMicrotask(run);

async function follow(answers, signal) {
  const [seen, rest] = [[], [...answers]];
  const client = new JobsClient({ url: "http://server", token: "t", fetch: async () => rest.shift()() });
  try {
    for await (const event of client.events("1", signal)) seen.push(event.progress);
  } catch (error) {
    seen.push(error instanceof RefusedError ? error.status : String(error));
  }
  return seen;
}

async function unreachable() {
  const client = new JobsClient({ url: "http://127.0.0.1:59999/_jobs/", token: "secret" });
  const follow = async () => { for await (const _ of eventsOf("http://u:p@[::1]:59999/e?signature=s#f")); };
  const found = [];
  const note = (error) => found.push([error instanceof UnreachableError, error.url, error.message]);
  const page = async () => new Response("<html>Welcome</html>");
  const elsewhere = new JobsClient({ url: "http://elsewhere", token: "secret", fetch: page });
  for (const call of [() => client.job("1"), follow, () => elsewhere.job("1")]) await call().catch(note);
  return found;
}

const abort = new AbortController();
const aborted = () => { abort.abort("enough"); return stopped(); };
const found = { id: "1", status: "completed" };
const streams = [stopped, ended];
const answer = async (url) => (url.endsWith("/events") ? streams.shift()() : new Response(JSON.stringify(found)));
const client = new JobsClient({ url: "http://server", token: "t", fetch: answer });
console.log(JSON.stringify({
  restarted: await follow([stopped, stopped, broken, away, refused(503), ended]),
  gone: await follow([stopped, refused(404)]),
  never: await follow([away]),
  aborted: await follow([stopped, aborted], abort.signal),
  result: (await client.result("1")).status,
  unreachable: await unreachable(),
}));
"""
UNREACHABLE = "cannot be reached (fetch failed); start its server, or correct the URL"
RECONNECTS = "    answer = await connectAgain(connect, signal);\n"


def followed(folder: Path, module: str) -> dict[str, object]:
    """Return the events that the program got from each list of answers."""
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "jobs.ts").write_text(module, encoding="utf-8")
    (folder / "program.mjs").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run([NODE, "program.mjs"], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    events: dict[str, object] = json.loads(done.stdout)
    return events


def test_events_go_on_after_a_restart_of_the_server_until_the_job_is_finished(tmp_path: Path) -> None:
    found = followed(tmp_path, typescript_text([]))
    assert _without_messages(found.pop("unreachable")) == [
        [True, "http://127.0.0.1:59999/_jobs/jobs/1"],
        [True, "http://[::1]:59999/e"],
        [True, "http://elsewhere/jobs/1"],
    ]
    assert found == {
        "restarted": [10, 20, 100],
        "gone": [10, 404],
        "never": [f"UnreachableError: http://server/jobs/1/events {UNREACHABLE}"],
        "aborted": [10, "enough"],
        "result": "completed",
    }


def _without_messages(found: object) -> list[list[object]]:
    """Return each error without its message, which must name the URL, the reason and no secret."""
    assert isinstance(found, list)
    for _, url, message in found:
        problem = "sends no JSON" if "elsewhere" in url else "cannot be reached"
        assert message.startswith(f"{url} {problem} (")
        assert "()" not in message
        assert "signature" not in message
    return [[is_known, url] for is_known, url, _ in found]


def test_events_would_end_early_if_the_client_did_not_connect_again(tmp_path: Path) -> None:
    module = typescript_text([])
    assert RECONNECTS in module

    assert followed(tmp_path, module.replace(RECONNECTS, "    return;\n"))["restarted"] == [10]
