import os
import threading

from django.tasks import task
from server_jobs_django.tasks import task as task_with_job

calls = []


@task
def note(value, *, fails=None):
    calls.append(value)
    if fails:
        raise ValueError(fails)
    return {"value": value, "in_main_thread": threading.current_thread() is threading.main_thread()}


@task
async def note_async(value):
    calls.append(value)
    return {"value": value, "in_main_thread": threading.current_thread() is threading.main_thread()}


@task(takes_context=True)
def describe(context):
    return [context.task_result.id, context.attempt, context.task_result.status]


class DeclinedError(Exception):
    pass


@task
def decline(name):
    raise DeclinedError(f"not {name}\nvenv.DeclinedError: {name}")


@task
def gone():
    pass


@task_with_job(job="SendEmail")
def send_email(to, subject, body="Hello", copies=None):
    if body == "fails":
        raise ValueError(f"no mail about {subject}")
    return {"sent": [to] * copies}


@task_with_job(job="Ship", takes_context=True)
def ship(context):
    return {"process": os.getpid()}


@task_with_job(job="Ship")
def ship_otherwise():
    pass
