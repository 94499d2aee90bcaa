"""The jobs that run in one of several databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..domain.interfaces import Store
from ..domain.record import Declaration, NewJob, ScheduleRecord
from ..engine.backend import Backend
from ..engine.execution import Execution
from ..engine.scheduler import Scheduler
from ..errors import InvalidOptionError
from ..registry import JobRegistry
from ..routing import Routing

_HANDLER_PROGRAM = "server_jobs.named_databases.handler_program"


class NamedExecution(Execution):
    """Runs the jobs of one of several databases, with handler processes that use all of them."""

    def __init__(self, backend: Backend, store: Store, routing: Routing, name: str) -> None:
        super().__init__(backend, store)
        self.attempt_factory.program = _HANDLER_PROGRAM
        self.scheduler = _OwnSchedules(store, self.registry, routing, name)

    def check_handlers(self) -> None:
        """As in `Execution`. Raises `ProjectError` for a schedule whose params have no database."""
        super().check_handlers()
        self.scheduler.declarations()


class _OwnSchedules(Scheduler):
    """The scheduler of one of several databases. It declares and fires only schedules whose jobs belong to it.

    Migrations store no schedules in a project with several databases.
    """

    def __init__(self, store: Store, registry: JobRegistry, routing: Routing, name: str) -> None:
        super().__init__(store, registry)
        self._routing = routing
        self._name = name

    def declarations(self, *, only_code: bool = False) -> Sequence[Declaration]:
        del only_code
        return [self._own(declaration) for declaration in super().declarations()]

    def _own(self, declaration: Declaration) -> Declaration:
        schedules = (each for each in declaration.schedules if self._routing.name_of(each.shard_key) == self._name)
        return Declaration(declaration.job_name, tuple(schedules))

    def withdrawal_reason(self, schedule: ScheduleRecord) -> str:
        declared = (each for one in super().declarations() for each in one.schedules if each.id == schedule.id)
        names = [self._routing.name_of(each.shard_key) for each in declared]
        if not names:
            return super().withdrawal_reason(schedule)
        return f"it belongs to the database {names[0]!r} now, whose workers store it there"

    def job_of(self, schedule: ScheduleRecord, slot: datetime) -> NewJob:
        new = super().job_of(schedule, slot)
        wanted = self._routing.name_of(new.shard_key)
        if wanted != self._name:
            raise InvalidOptionError(
                f"it belongs to the database {wanted!r} now, not to {self._name!r}; remove it, and add it again"
            )
        return new
