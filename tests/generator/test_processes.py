"""Other processes do what this one would, and it makes no difference to what comes of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from server_jobs.errors import ProjectError
from server_jobs_generator.caching import spec_portions
from server_jobs_generator.ir.spec import JobSpec, read_specs
from server_jobs_generator.models import model_pool
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.models.type_memory import TypeMemory
from server_jobs_generator.parallel import processes
from server_jobs_generator.parallel.processes import Processes

from tests.generator.projects import TemporaryProject, job_spec, make_project, schedule, without_digests


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_cores", lambda: 2)


@pytest.fixture
def others(two_cores: None) -> Iterator[Processes]:
    with Processes() as found:
        yield found


@pytest.fixture(scope="module")
def shared() -> Iterator[Processes]:
    """The same for every test that leaves them alive: each of them imports the generator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_cores", lambda: 2)
        found = Processes()
    with found:
        yield found


@pytest.fixture
def nowhere(two_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError("no processes here")

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", refuse)


def whose(number: int) -> tuple[int, int]:
    return number, os.getpid()


def die_elsewhere(parent: int) -> int:
    """Where no memory is left, the system kills a process."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return parent


def fail(message: str) -> None:
    raise ProjectError(message)


def test_others_do_the_parts_and_what_comes_of_them_is_in_order(shared: Processes) -> None:
    found = list(shared.map(whose, range(7)))
    assert [number for number, _ in found] == list(range(7))
    assert os.getpid() not in {process for _, process in found}


def test_one_part_or_one_core_is_for_this_process(shared: Processes) -> None:
    assert list(shared.map(whose, [1])) == [(1, os.getpid())]
    assert list(Processes(1).map(whose, [1, 2])) == [(1, os.getpid()), (2, os.getpid())]


def test_what_is_begun_is_done_by_a_process_of_its_own(shared: Processes) -> None:
    pool = {process for _, process in shared.map(whose, range(4))}
    number, process = shared.begin(whose, 5)()
    assert number == 5
    assert process not in {*pool, os.getpid()}


@pytest.mark.usefixtures("nowhere")
def test_where_no_process_can_be_started_this_one_does_all() -> None:
    with Processes() as none:
        assert list(none.map(whose, range(3))) == [(number, os.getpid()) for number in range(3)]
        assert none.begin(whose, 5)() == (5, os.getpid())


def test_when_one_is_killed_this_one_does_the_rest(others: Processes) -> None:
    me = os.getpid()
    assert list(others.map(die_elsewhere, [me, me])) == [me, me]
    assert others.begin(die_elsewhere, me)() == me


def test_what_is_raised_elsewhere_is_raised_here(shared: Processes) -> None:
    with pytest.raises(ProjectError, match="the revision cannot be run"):
        shared.begin(fail, "the revision cannot be run")()
    with pytest.raises(ProjectError, match="one"):
        list(shared.map(fail, ["one", "two"]))


@pytest.mark.usefixtures("two_cores")
def test_none_is_left_behind() -> None:
    with Processes() as others:
        found = {process for _, process in others.map(whose, range(4))} | {others.begin(whose, 5)()[1]}
    deadline = time.monotonic() + 30
    while any(_runs(process) for process in found):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few specs count as many."""
    monkeypatch.setattr(processes, "_MANY", 2)
    for module in (model_pool, spec_portions):
        monkeypatch.setattr(module, "_PORTION", 1)


SPECS = {
    "mail": job_spec("Mail", schedules=[schedule()]),
    "plain": job_spec("Plain"),
    "full": job_spec("Full", queue="mail", timeout="PT1.5S", indexes=["/params/text"]),
}


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return make_project(tmp_path / "one/project", SPECS)


def spy(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is given to others."""
    given: list[object] = []

    def mapped(self: Processes, function: Callable[[object], object], parts: Sequence[object]) -> Iterator[object]:
        given.append(function)
        return mapping(self, function, parts)

    def begun(self: Processes, function: Callable[..., object], *arguments: object) -> Callable[[], object]:
        given.append(function)
        return beginning(self, function, *arguments)

    mapping, beginning = Processes.map, Processes.begin
    monkeypatch.setattr(Processes, "map", mapped)
    monkeypatch.setattr(Processes, "begin", begun)
    return given


@pytest.mark.usefixtures("two_cores")
def test_many_specs_are_generated_by_several_processes_with_the_same_files(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = make_project(tmp_path / "other/project", SPECS)
    alone.generate()
    many(monkeypatch)
    given = spy(monkeypatch)
    project.generate()
    assert [getattr(each, "__name__", "") for each in given] == ["_check", "_render", "_history_files"]
    assert project.files() == alone.files()
    assert project.generate().output == "nothing changed\n"


@pytest.mark.usefixtures("two_cores")
def test_a_revision_that_cannot_be_run_elsewhere_is_told_here(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.generate()
    path = project.path("generated/migrations/versions/server_jobs_0001_tables.py")
    path.write_text(f"{path.read_text(encoding='utf-8')}\nraise RuntimeError('boom')\n", encoding="utf-8")
    project.write_spec("plain", job_spec("Plain", schedules=[schedule()]))
    many(monkeypatch)
    result = project.run("generate", "--force")
    assert result.exit_code == 3
    assert "the revision server_jobs_0001_tables.py cannot be run: boom" in without_digests(result.output)


def specs_of(project: TemporaryProject) -> list[JobSpec]:
    return list(read_specs(project.root, project.path("specs")).jobs)


def test_other_processes_render_the_same_bytes(
    project: TemporaryProject, others: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = specs_of(project)
    expected = [render_models(job) for job in jobs]
    many(monkeypatch)
    memory = TypeMemory()
    assert list(model_pool.render_models_of(jobs, memory, others)) == expected
    assert memory.new


@pytest.mark.usefixtures("nowhere")
def test_where_no_process_can_be_started_this_one_renders(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = specs_of(project)
    many(monkeypatch)
    with Processes() as none:
        found = list(model_pool.render_models_of(jobs, TypeMemory(), none))
    assert found == [render_models(job) for job in jobs]
