"""Every command: its location and its summary for `server-jobs --help`, without importing it.

Plug-ins bring more commands; see `command_plug_ins`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command that is imported when it is called. `place` is `module:attribute`, relative to this package."""

    section: str
    place: str
    summary: str


COMMANDS = {
    "init": CommandEntry("Project", ".generator.new_project:init", "Start a new project, with one example job."),
    "new": CommandEntry("Project", ".generator.new_job:new", "Write the spec of a new job, and generate."),
    "import": CommandEntry("Project", ".generator.import_jobs:import_jobs", "Write specs from code and schemas."),
    "generate": CommandEntry("Project", ".generator.generate:generate", "Generate code from specs/."),
    "check": CommandEntry("Project", ".generator.generate:check", "Compare generated files with the specs."),
    "explain": CommandEntry("Project", ".generator.explain:explain", "Explain a rule of check."),
    "doctor": CommandEntry("Project", ".doctor.doctor:doctor", "Find problems of project and database."),
    "token": CommandEntry("Project", ".serve:token", "Print a token for the HTTP routes."),
    "migrate": CommandEntry("Database", ".migrate:migrate", "Bring the tables to the newest revision."),
    "worker": CommandEntry("Running jobs", ".worker.worker:worker", "Run queued jobs until stopped."),
    "workers": CommandEntry("Running jobs", ".jobs.why_and_workers:workers", "List the workers, alive and dead."),
    "serve": CommandEntry("Running jobs", ".serve:serve", "Serve the HTTP routes."),
    "tick": CommandEntry("Running jobs", ".jobs.enqueue_now_tick:tick", "Run what is due now and exit, for cron."),
    "now": CommandEntry("Running jobs", ".jobs.enqueue_now_tick:now", "Run one job here and print its result."),
    "enqueue": CommandEntry("Jobs", ".jobs.enqueue_now_tick:enqueue", "Queue a job for a worker."),
    "list": CommandEntry("Jobs", ".jobs.list_jobs:list_jobs", "List stored jobs, newest first."),
    "show": CommandEntry("Jobs", ".jobs.show:show", "Show one job in full."),
    "why": CommandEntry("Jobs", ".jobs.why_and_workers:explain_job", "Say why a job waits."),
    "retry": CommandEntry(
        "Jobs", ".jobs.retry_cancel_repair:retry", "Put failed or cancelled jobs back in their queue."
    ),
    "repair": CommandEntry("Jobs", ".jobs.retry_cancel_repair:repair", "Replace params that cannot be read."),
    "cancel": CommandEntry(
        "Jobs", ".jobs.retry_cancel_repair:cancel", "Cancel pending jobs, ask running ones to stop."
    ),
    "pause": CommandEntry("Jobs", ".jobs.queues:pause", "Stop workers from claiming from a queue."),
    "resume": CommandEntry("Jobs", ".jobs.queues:resume", "Undo pause."),
    "delete": CommandEntry("Jobs", ".jobs.delete_and_prune:delete", "Delete jobs, by id or by a filter."),
    "audit": CommandEntry("Jobs", ".jobs.audit_log:audit", "List who changed jobs, queues and schedules."),
    "prune": CommandEntry("Jobs", ".jobs.delete_and_prune:prune", "Delete finished jobs past their retention."),
    "schedules": CommandEntry(
        "Jobs", ".jobs.schedules:schedules", "List schedules, or change, run, backfill or remove one."
    ),
}
"""In the order of `--help`."""
