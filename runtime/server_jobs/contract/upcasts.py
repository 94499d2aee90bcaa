"""Rows of earlier versions: read with their own model, then converted step by step to the current version."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ..domain.tracebacks import error_place
from ..errors import InvalidDocumentError, InvalidOptionError, InvalidParamsError, UpcastError
from .documents import read_params, write_params
from .values import pointer_to

if TYPE_CHECKING:
    from ..definition import AnyDefinition

A = TypeVar("A", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)

_EVERYTHING = ("",)  # the pointer to the whole document


@dataclass(frozen=True)  # without slots, which `EarlierVersion[A, B](...)` does not support
class EarlierVersion(Generic[A, B]):
    """An earlier version of a job: the model of its params, and the function to the next version.

    `upcast` is a plain function from this model to the next model; None: the next version accepts the params unchanged.

        class FirstParams(BaseModel):
            address: str

        def upcast(params: FirstParams) -> SendEmailParams:
            return SendEmailParams(to=params.address, subject="(no subject)")

        first = EarlierVersion(1, FirstParams, upcast)
    """

    version: int
    params_model: type[A]
    upcast: Callable[[A], B] | None = None

    @property
    def is_stub(self) -> bool:
        """Whether the upcaster is the generated stub, which raises `UpcastNotImplementedError`."""
        code = getattr(self.upcast, "__code__", None)
        return code is not None and code.co_names == ("UpcastNotImplementedError",)


AnyEarlierVersion = EarlierVersion[Any, Any]


@dataclass(frozen=True, slots=True)
class Versions:
    """The current version of a job and its known earlier versions, oldest first.

    Raises `InvalidOptionError` if the versions are out of order, or an upcaster is async.
    """

    job: AnyDefinition
    earlier: tuple[AnyEarlierVersion, ...] = ()

    def __post_init__(self) -> None:
        numbers = [*(version.version for version in self.earlier), self.current]
        if numbers[0] < 1 or any(later <= former for former, later in pairwise(numbers)):
            shown = ", ".join(map(str, numbers[:-1]))
            raise InvalidOptionError(
                f"the earlier versions of {self.job_name} must be in ascending order, from 1 on and below the current "
                f"version {self.current}, not {shown}"
            )
        for version in self.earlier:
            if inspect.iscoroutinefunction(version.upcast):
                raise InvalidOptionError(
                    f"the upcaster of {self.job_name} from version {version.version} must be a plain function, not an "
                    "async one: it has nothing to wait for"
                )

    @property
    def job_name(self) -> str:
        """The name of the job."""
        return self.job.job_name

    @property
    def current(self) -> int:
        """The version of new jobs, and of the params of the handler."""
        return self.job.options.version

    @property
    def stubs(self) -> tuple[int, ...]:
        """The versions whose upcaster is still the stub."""
        return tuple(version.version for version in self.earlier if version.is_stub)

    @property
    def readable(self) -> tuple[int, ...]:
        """The versions whose rows can be read, the current version first."""
        return (self.current, *self._reachable())

    def unknown_reason(self, version: int) -> str:
        """Return the reason why rows of this version cannot be read here."""
        if self.stubs and version <= max(self.stubs):
            return f"the upcaster from version {max(self.stubs)} is still a stub"
        reads = "".join(f" and {earlier.version}" for earlier in reversed(self.earlier))
        return f"here is version {self.current}{reads}"

    def current_params(self, text: str, version: int) -> str:
        """Convert params (JSON text) of a version to params of the current version.

        Raises `InvalidParamsError` with the version that rejects them, or `UpcastError`. Returns params of the current
        version unchanged, without validation.
        """
        if version == self.current:
            return text
        if version not in self.readable:
            raise UpcastError(self.job_name, version, self.unknown_reason(version))
        steps = [earlier for earlier in self.earlier if earlier.version >= version]
        models = [*(earlier.params_model for earlier in steps[1:]), self.job.params_model]
        for step, next_model in zip(steps, models, strict=True):
            if step.upcast is not None:
                text = self._write(step, next_model, self._upcast(step, step.upcast, text))
        return text

    def read(self, text: str, version: int) -> BaseModel:
        """Return the params model for the handler. Raises the errors of `current_params`."""
        job, options = self.job, self.job.options
        if version != options.version:
            text = self.current_params(text, version)
        return read_params(job.job_name, job.params_model, text, options.redact)

    def refusal(self, text: str, version: int) -> Exception | None:
        """Return the error that would park a row with these params, or None if it can be read."""
        try:
            self.read(text, version)
        except Exception as error:  # noqa: BLE001  upcasters and validators are user code
            return error
        return None

    def _reachable(self) -> Iterator[int]:
        for version in reversed(self.earlier):
            if version.is_stub:
                return
            yield version.version

    def _upcast(self, step: AnyEarlierVersion, upcast: Callable[[BaseModel], object], text: str) -> object:
        """Call the upcaster with these params."""
        params = read_params(f"{self.job_name} version {step.version}", step.params_model, text, self._hidden)
        try:
            return upcast(params)
        except (Exception, SystemExit) as error:  # noqa: BLE001  any error is the reason for parking the row
            reason = f"its upcaster raised {_described(error, is_secret=bool(self._hidden))}"
            raise UpcastError(self.job_name, step.version, reason) from (None if self._hidden else error)

    def _write(self, step: AnyEarlierVersion, next_model: type[BaseModel], made: object) -> str:
        """Validate the result of an upcaster against the next version, and return its text."""
        if not isinstance(made, next_model):
            reason = f"its upcaster returned a value of type {type(made).__name__}, not {next_model.__name__}"
            raise UpcastError(self.job_name, step.version, reason)
        redact = self.job.options.redact if next_model is self.job.params_model else self._hidden
        try:
            return write_params(self.job_name, next_model, made, redact)[1]
        except InvalidParamsError as error:
            problems = "; ".join(map(str, error.problems))
            reason = f"its upcaster returned what the next version refuses: {problems}"
            raise UpcastError(self.job_name, step.version, reason) from (None if redact else error)

    @property
    def _hidden(self) -> tuple[str, ...]:
        """Return the pointers to hide in other versions: everything, if the current version redacts something."""
        return _EVERYTHING if self.job.options.redact else ()


def _described(error: BaseException, *, is_secret: bool) -> str:
    """Return the error with its place. Omit its message if it might contain a secret."""
    name, place = type(error).__name__, "" if isinstance(error, InvalidDocumentError) else error_place(error)
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)
        problems = "; ".join(
            f"{pointer_to(one['loc'])}: {'does not fit' if is_secret else one['msg']}" for one in found
        )
        return f"{name}: {problems}{place}"
    return f"{name}{place}" if is_secret or not str(error) else f"{name}: {error}{place}"
