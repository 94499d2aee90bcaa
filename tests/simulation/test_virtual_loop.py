"""The event loop of simulations: time jumps, and machines freeze."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from .machine import Machine
from .virtual_loop import StuckError, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """Return a loop at time zero."""
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_an_hour_passes_at_once(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() == 3600


def test_timeouts_are_of_virtual_time(loop: VirtualLoop) -> None:
    async def wait() -> None:
        async with asyncio.timeout(5):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(wait())
    assert loop.time() == 5


def test_a_program_that_can_never_go_on_is_an_error(loop: VirtualLoop) -> None:
    waiting = loop.create_task(asyncio.Event().wait())
    with pytest.raises(StuckError, match="nothing is ready and no timer is set"):
        loop.run_until_complete(waiting)
    _cancel(loop, waiting)


def test_a_program_that_spins_is_an_error(loop: VirtualLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    spinning = loop.create_task(spin())
    with pytest.raises(StuckError, match="the program spins"):
        loop.run_until_complete(spinning)
    _cancel(loop, spinning)


def test_threads_are_refused(loop: VirtualLoop) -> None:
    with pytest.raises(RuntimeError, match="no threads in a simulation"):
        loop.run_in_executor(None, print)


def test_a_frozen_machine_does_nothing_and_continues_later(loop: VirtualLoop) -> None:
    seen: list[float] = []

    async def count() -> None:
        for _ in range(4):
            await asyncio.sleep(1)
            seen.append(loop.time())

    async def script() -> None:
        machine = Machine("m", loop)
        counting = machine.start(count())
        await asyncio.sleep(1.5)
        await machine.freeze(10, is_suspended=False)
        await counting

    loop.run_until_complete(script())
    assert seen == [1, 11.5, 12.5, 13.5]


def test_a_timer_that_was_cancelled_while_its_machine_was_frozen_does_not_go_off(loop: VirtualLoop) -> None:
    async def wait(answer: asyncio.Future[int]) -> int:
        async with asyncio.timeout(3):
            return await answer

    async def script() -> int:
        machine = Machine("m", loop)
        answer: asyncio.Future[int] = loop.create_future()
        waiting = machine.start(wait(answer))
        await asyncio.sleep(1)
        loop.call_later(1, answer.set_result, 7)  # the answer and the timeout both arrive while it is frozen
        await machine.freeze(10, is_suspended=False)
        return await waiting

    assert loop.run_until_complete(script()) == 7


def test_tasks_that_a_machine_makes_freeze_with_it(loop: VirtualLoop) -> None:
    seen: list[float] = []

    async def child() -> None:
        await asyncio.sleep(2)
        seen.append(loop.time())

    async def parent() -> None:
        await asyncio.gather(child(), asyncio.create_task(child()))

    async def script() -> None:
        machine = Machine("m", loop)
        done = machine.start(parent())
        await asyncio.sleep(1)
        await machine.freeze(5, is_suspended=False)
        await done
        assert len(machine.tasks) == 3

    loop.run_until_complete(script())
    assert seen == [6, 6]


def test_the_monotonic_clock_of_a_suspended_machine_stands_still(loop: VirtualLoop) -> None:
    async def script() -> tuple[float, float]:
        stopped, suspended = Machine("a", loop), Machine("b", loop)
        await asyncio.gather(stopped.freeze(10, is_suspended=False), suspended.freeze(10, is_suspended=True))
        return stopped.monotonic(), suspended.monotonic()

    assert loop.run_until_complete(script()) == (10, 0)


def _cancel(loop: VirtualLoop, task: asyncio.Task[object]) -> None:
    task.cancel()

    async def end() -> None:
        await asyncio.wait([task])

    ending: Coroutine[object, object, None] = end()
    loop.run_until_complete(ending)
