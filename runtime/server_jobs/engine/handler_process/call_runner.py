"""One call in the main thread: import its handler, read its params, and run it within its middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, NoneType
from typing import Any, cast

from pydantic import BaseModel

from ...binding import Run, current_run
from ...context import JobContext
from ...contract.documents import read_params
from ...contract.masking import masking
from ...definition import AnyHandler, call_handler
from ...domain.tracebacks import Mask
from ...isolation.import_path import load
from ...isolation.messages import Answer, AttemptFacts, Call
from ...logs import enable_our_loggers
from ...middleware import Entered, Middleware, RunningAttempt, called_within
from ..attempts.places import is_async, isawaitable
from .answers import answer_to_failure, answer_to_raised, answer_to_value
from .current_call import CurrentCall
from .environment import Environment


@dataclass(frozen=True, slots=True)
class _Error:
    """An exception of a handler as a value, so that its traceback stays unchanged."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A handler with its arguments. `variables` are the context variables that its middleware may set."""

    job_name: str
    handler: AnyHandler
    params: BaseModel
    context: JobContext
    result_model: type[BaseModel | None]
    variables: Context
    mask: Mask

    def answer_to(self, outcome: object) -> Answer:
        """Return the answer for a value or an `_Error`. Raises `InvalidDocumentError` for a value that does not fit."""
        if isinstance(outcome, _Error):
            return answer_to_raised(outcome.error, self.mask)
        return answer_to_value(self.job_name, self.result_model, outcome, self.mask)


class CallRunner:
    """Runs calls: a plain handler directly, an async one in the event loop of `runner`."""

    def __init__(self, runner: asyncio.Runner, current: CurrentCall) -> None:
        self._runner = runner
        self._current = current

    def answer(self, call: Call, environment: Environment) -> Answer:
        """Run a call and return its answer. Every error is an answer."""
        mask = masking(call.params, call.redact)
        try:
            prepared = self._prepare(call, environment, mask)
            if call.facts is None:
                return prepared.answer_to(self._outcome_of(prepared))
            return self._answer_within(environment.hooks.middleware, prepared, _running(call, call.facts, mask))
        except BaseException as error:  # noqa: BLE001  models and modules are user code
            return answer_to_failure(error, mask)

    def _prepare(self, call: Call, environment: Environment, mask: Mask) -> _Prepared:
        """Import the handler and its models, read the params, and tell the worker that the handler begins."""
        environment.hooks.set_up()  # the module of a handler may need it
        handler = cast("AnyHandler", load(call.paths.handler))
        params_model = cast("type[BaseModel]", load(call.paths.params_model))
        result_path = call.paths.result_model
        result_model = NoneType if result_path is None else cast("type[BaseModel]", load(result_path))
        params = read_params(call.paths.job_name, params_model, call.params, call.redact)
        enable_our_loggers()  # the import of the handler may have disabled them
        backend = environment.backend_for(handler)
        context = environment.context_of(call, backend, self._runner.run(environment.open_resources()))
        context.mask = mask
        self._current.begin(context)
        variables = copy_context()
        variables.run(current_run.set, Run(backend and (backend.for_handlers or backend), context))
        return _Prepared(call.paths.job_name, handler, params, context, result_model, variables, mask)

    def _answer_within(self, middleware: Sequence[Middleware], prepared: _Prepared, attempt: RunningAttempt) -> Answer:
        """Run the handler within middleware, which sees whether the result fits."""
        self._current.attempt = attempt
        try:
            entered = self._runner.run(Entered.enter(middleware, attempt), context=prepared.variables)
        except BaseException as refusal:  # noqa: BLE001  middleware is user code
            return answer_to_raised(refusal, prepared.mask)
        outcome = self._outcome_of(prepared, middleware)
        error = outcome.error if isinstance(outcome, _Error) else None
        try:
            answer = prepared.answer_to(outcome)
        except BaseException as unfit:  # noqa: BLE001  models are user code
            error, answer = unfit, answer_to_failure(unfit, prepared.mask)
        counts = self._runner.run(entered.leave(error, outcome), context=prepared.variables)
        return answer if counts is None or counts is error else answer_to_raised(counts, prepared.mask)

    def _outcome_of(self, prepared: _Prepared, middleware: Sequence[Middleware] = ()) -> object:
        """Run the handler. Return its result, or its error as an `_Error`."""
        call = partial(call_handler, prepared.handler, prepared.params, prepared.context)
        if is_async(prepared.handler):
            return self._runner.run(self._awaited(call), context=prepared.variables)
        attempt = self._current.attempt
        if attempt is not None:
            call = partial(called_within, middleware, attempt, call)
        try:
            result = prepared.variables.run(call)
        except StopIteration as stop:
            return _Error(RuntimeError(f"the handler raised StopIteration: {stop}"))
        except GeneratorExit:
            return _Error(RuntimeError("the handler raised GeneratorExit"))
        except BaseException as error:  # noqa: BLE001  any exception is the outcome
            return _Error(error)
        if isawaitable(result):
            return self._runner.run(self._awaited(lambda: result), context=prepared.variables)
        return result

    async def _awaited(self, call: Callable[[], Any]) -> object:
        self._current.task = asyncio.current_task()
        try:
            return _Error(asyncio.CancelledError()) if self._current.is_stopped else await call()
        except asyncio.CancelledError as error:
            if self._current.is_stopped:
                return _Error(error)
            reason = RuntimeError("the handler awaited something that was cancelled")
            reason.__cause__ = error
            return _Error(reason)
        except GeneratorExit:
            return _Error(RuntimeError("the handler raised GeneratorExit"))
        except BaseException as error:  # noqa: BLE001  any exception is the outcome
            return _Error(error)
        finally:
            self._current.task = None


def _running(call: Call, facts: AttemptFacts, mask: Mask) -> RunningAttempt:
    return RunningAttempt(
        job_name=call.paths.job_name,
        job_id=call.job_id,
        attempt=call.attempt,
        max_attempts=facts.max_attempts,
        queue=facts.queue,
        correlation_id=call.correlation_id,
        headers=MappingProxyType(facts.headers),
        mask=mask,
    )
