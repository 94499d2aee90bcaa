"""The options of a backend of tasks in `TASKS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from django.core.exceptions import ImproperlyConfigured
from django.tasks.backends.base import BaseTaskBackend
from server_jobs.domain.option_kinds import check_range
from server_jobs.domain.options import MOST_ATTEMPTS
from server_jobs.domain.suggestions import closest
from server_jobs.errors import InvalidOptionError


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """`OPTIONS` of the backend.

    `max_attempts` counts for tasks without a spec. With `eager`, `enqueue` runs the task before it returns, unless
    `run_after` is in the future. Workers import `modules` to know their tasks; None: the module `tasks` of each app.
    """

    max_attempts: int = 1
    eager: bool = False
    modules: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_range("max_attempts", self.max_attempts, 1, MOST_ATTEMPTS)
        given: object = self.eager
        if not isinstance(given, bool):
            raise InvalidOptionError(f"eager must be True or False, not {given!r}")
        names: object = self.modules
        is_list = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
        if names is not None and not is_list:
            raise InvalidOptionError(f"modules must be a list of names such as ['shop.tasks'], not {names!r}")

    @classmethod
    def of(cls, given: dict[str, object]) -> TaskOptions:
        """Check the options. Raises `InvalidOptionError`."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                close = closest(name, known)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
                raise InvalidOptionError(f"there is no option {name!r}; {hint}")
        return cls(**given)  # type: ignore[arg-type]  # `__post_init__` checks them


class BackendOfJobs(BaseTaskBackend):
    """The base of backends whose tasks are jobs. The jobs of tasks recognize their backend by it."""

    @property
    def task_options(self) -> TaskOptions:
        """The checked `OPTIONS`. Raises `ImproperlyConfigured`."""
        try:
            return TaskOptions.of(self.options)
        except InvalidOptionError as error:
            raise ImproperlyConfigured(f'TASKS["{self.alias}"]["OPTIONS"]: {error}') from error
