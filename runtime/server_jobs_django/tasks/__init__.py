"""`django.tasks` on stored jobs: `TASKS = {"default": {"BACKEND": "server_jobs_django.tasks.JobsBackend"}}`.

=====================================================  ==============
to change                                              open
=====================================================  ==============
enqueue, results by id, and system checks              `backend`
`OPTIONS` in `TASKS`                                   `backend_options`
`@task(job="SendEmail")`, and the jobs of tasks        `task`
the call of a task function in a worker, and signals   `calls`
a stored job as a `TaskResult`                         `results`
=====================================================  ==============
"""

import django

if django.VERSION < (6,):
    raise ImportError(
        f"server_jobs_django.tasks needs Django 6.0 or newer, and this is Django {django.get_version()}; upgrade "
        "Django, or enqueue job classes: SendEmail.later_sync(...)"
    )

from .backend import JobsBackend
from .task import JobsTask, task

__all__ = ["JobsBackend", "JobsTask", "task"]
