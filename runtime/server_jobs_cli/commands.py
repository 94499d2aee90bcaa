"""Every command: where it is, and what `server-jobs --help` says of it without importing it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command that is imported when it is called: `place` is `module:attribute`, relative to this package."""

    section: str
    place: str
    summary: str


COMMANDS = {
    "init": CommandEntry("Project", ".generator.generate:init", "Start a new project, with one example job."),
    "generate": CommandEntry("Project", ".generator.generate:generate", "Write the code that follows from specs/."),
    "check": CommandEntry("Project", ".generator.generate:check", "Say what generate would change."),
    "explain": CommandEntry("Project", ".generator.explain:explain", "Say what a rule of check means."),
    "doctor": CommandEntry("Project", ".doctor.doctor:doctor", "Look for what is wrong with project and database."),
    "token": CommandEntry("Project", ".serve.token:token", "Print a token for the HTTP routes."),
    "migrate": CommandEntry("Database", ".database.migrate:migrate", "Bring the tables to the newest revision."),
    "worker": CommandEntry("Running jobs", ".worker.worker:worker", "Run queued jobs until stopped."),
    "serve": CommandEntry("Running jobs", ".serve.serve:serve", "Serve the HTTP routes."),
    "tick": CommandEntry("Running jobs", ".jobs.tick:tick", "Run what is due now and exit, for cron."),
    "now": CommandEntry("Running jobs", ".jobs.now:now", "Run one job here and print its result."),
    "enqueue": CommandEntry("Jobs", ".jobs.enqueue:enqueue", "Queue a job for a worker."),
    "list": CommandEntry("Jobs", ".jobs.list_jobs:list_jobs", "List stored jobs, newest first."),
    "show": CommandEntry("Jobs", ".jobs.show:show", "Show everything about one job."),
    "retry": CommandEntry("Jobs", ".jobs.retry_and_cancel:retry", "Put failed or cancelled jobs back in their queue."),
    "repair": CommandEntry("Jobs", ".jobs.repair:repair", "Give jobs that cannot be read other params."),
    "cancel": CommandEntry("Jobs", ".jobs.retry_and_cancel:cancel", "Cancel pending jobs, ask running ones to stop."),
    "pause": CommandEntry("Jobs", ".jobs.pause_and_resume:pause", "Let no worker claim from a queue."),
    "resume": CommandEntry("Jobs", ".jobs.pause_and_resume:resume", "Let workers claim from a queue again."),
    "delete": CommandEntry("Jobs", ".jobs.delete:delete", "Delete jobs, by id or by a value such as that of a person."),
    "audit": CommandEntry("Jobs", ".jobs.audit_log:audit", "List who changed jobs and queues by hand."),
    "prune": CommandEntry("Jobs", ".jobs.prune:prune", "Delete finished jobs that need not be kept."),
    "schedules": CommandEntry("Jobs", ".jobs.schedules:schedules", "List the schedules, switch one on or off."),
}
"""In the order in which they are shown."""
