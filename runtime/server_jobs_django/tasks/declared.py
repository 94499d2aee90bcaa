"""The tasks that the code of this process has declared. No value of a row or a request adds one, or imports it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from importlib import import_module
from threading import RLock

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.tasks import Task, task_backends
from django.tasks.exceptions import InvalidTask, InvalidTaskBackend
from django.utils.module_loading import module_has_submodule
from server_jobs.domain.tracebacks import error_place
from server_jobs.errors import ProjectError, ServerJobsError
from server_jobs.registry import JobRegistry

from ..backend import DjangoBackend
from .backend_options import BackendOfJobs
from .results import path_of
from .task_job import TaskJob, job_of, options_of

_logger = logging.getLogger("server_jobs")
_lock = RLock()
_tasks: dict[str, Task] = {}
_jobs: dict[str, type[TaskJob]] = {}
_registries: list[JobRegistry] = []
_known_to_workers: set[str] = set()


class UnknownTaskError(ServerJobsError):
    """No module that this process imported declares the task."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"there is no task {path} here; keep a task under its old name until its stored jobs have run, and name "
            'its module in TASKS[...]["OPTIONS"]["modules"] if workers do not import it'
        )


def spec_of(task: Task) -> str | None:
    """Return the name of the spec of a task. Another backend may have made the task."""
    spec: str | None = getattr(task, "job", None)
    return spec


def declare(task: Task) -> None:
    """Note the task of a decorator. Ignores its copies with other options, which `using` makes."""
    path = path_of(task.func)
    with _lock:
        if path in _tasks and _tasks[path].func is task.func:
            return
        _tasks[path] = task
        if not apps.ready:
            _known_to_workers.add(path)
        if spec_of(task) is not None:
            return
        if path in _jobs:  # its module was imported again
            _jobs[path].task, _jobs[path].options = task, options_of(task)
            return
        _jobs[path] = job_of(task)
        for registry in _registries:
            registry.register(_jobs[path])


def register_tasks(registry: JobRegistry) -> None:
    """Register the tasks without a spec, also those that are declared later."""
    with _lock:
        TaskJob.bind(DjangoBackend(registry))
        _registries.append(registry)
        for job in _jobs.values():
            registry.register(job)


def declared_task(path: str) -> Task:
    """Return a task by its import path. Raises `UnknownTaskError`."""
    if path not in _tasks:
        raise UnknownTaskError(path)
    return _tasks[path]


def job_of_task(task: Task) -> type[TaskJob]:
    """Return the job of a declared task without a spec."""
    return _jobs[path_of(task.func)]


def check_declared(task: Task) -> None:
    """Raise `InvalidTask` unless a worker would call the function of this task, and in the same way."""
    path = path_of(task.func)
    found = _tasks.get(path)
    if found is None:
        raise InvalidTask(
            f"Workers do not know the task {path}, because its decorator names another backend. "
            f"Declare it with @task(backend={task.backend!r})."
        )
    if (found.func, found.takes_context, spec_of(found)) != (task.func, task.takes_context, spec_of(task)):
        raise InvalidTask(f"There are two tasks {path}, and workers know one of them. Rename the other function.")


def load_tasks() -> None:
    """Import the modules that declare tasks: those of `OPTIONS`, or else the module `tasks` of each app.

    Raises `ProjectError`.
    """
    before = set(_tasks)
    for name in _modules():
        _import(name)  # without the lock: another thread may import it now, and wait for the lock in `declare`
    _known_to_workers.update(set(_tasks) - before)


def warn_if_unknown_to_workers(task: Task) -> None:
    """Warn once about a task in a module that this process imported, and a worker does not."""
    path, module = path_of(task.func), task.func.__module__
    if path in _known_to_workers:
        return
    _known_to_workers.add(path)
    names = _modules()
    if module in names or _is_among(task, (sys.modules.get(name) for name in names)):
        return
    _logger.warning(
        "no worker runs the task %s unless it imports %s; move it into the module `tasks` of an app, or name %s in "
        'TASKS[...]["OPTIONS"]["modules"]',
        path,
        module,
        module,
    )


def stated_queues() -> set[str]:
    """Return the queues that `TASKS` allows for tasks that are jobs. Raises `ProjectError` for mistakes in `TASKS`."""
    return {queue for backend in _backends() for queue in backend.queues}


def _is_among(task: Task, modules: Iterable[object]) -> bool:
    """Whether one of these modules has imported the task from elsewhere."""
    values = (value for module in modules for value in getattr(module, "__dict__", {}).values())
    return any(isinstance(value, Task) and value.func is task.func for value in values)


def _modules() -> list[str]:
    """Return the names of the modules with tasks, each once. Raises `ProjectError` for mistakes in `TASKS`."""
    named = [backend.task_options.modules for backend in _backends()]
    names = [name for modules in named for name in (_of_apps() if modules is None else modules)]
    return list(dict.fromkeys(names))


def _backends() -> list[BackendOfJobs]:
    """Return the backends of `TASKS` whose tasks are jobs. Raises `ProjectError` for mistakes in `TASKS`."""
    try:
        found = [backend for backend in task_backends.all() if isinstance(backend, BackendOfJobs)]
        for backend in found:
            _ = backend.task_options
    except (InvalidTaskBackend, ImproperlyConfigured) as error:
        raise ProjectError(f"{error}; correct TASKS in the settings") from error
    return found


def _of_apps() -> list[str]:
    return [f"{app.name}.tasks" for app in apps.get_app_configs() if module_has_submodule(app.module, "tasks")]


def _import(name: str) -> None:
    try:
        import_module(name)
    except Exception as error:  # modules may raise anything
        raise ProjectError(
            f"the module {name}, which may declare tasks, cannot be imported: {type(error).__name__}: {error}"
            f'{error_place(error)}; correct it, or name the modules with tasks in TASKS[...]["OPTIONS"]["modules"]'
        ) from error
