"""Random work on random branches that are merged, with databases that ran any of them."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest

from tests.generator.branches.branching import Repository, columns, repository, schedules, spec
from tests.generator.databases import postgres_database
from tests.generator.projects import schedule

IS_LONG = "SERVER_JOBS_LONG_TESTS" in os.environ
SEEDS = range(40 if IS_LONG else 1)
STEPS = 16 if IS_LONG else 6
TITLES = ("Archive", "Bill", "Charge", "Deliver")


@dataclass(frozen=True)
class Job:
    """A job on one branch; `released` are the params of each of its contracts."""

    title: str
    params: frozenset[str] = frozenset({"to"})
    indexes: frozenset[str] = frozenset()
    crons: frozenset[tuple[str, str]] = frozenset()
    version: int = 1
    renamed: int = 0
    released: frozenset[frozenset[str]] = field(default_factory=lambda: frozenset({frozenset({"to"})}))

    @property
    def name(self) -> str:
        return self.title.lower() + "_again" * self.renamed

    @property
    def spec(self) -> dict[str, object]:
        options = {"version": self.version, "indexes": [f"/params/{name}" for name in sorted(self.indexes)]}
        declared = [schedule(name, cron) for name, cron in sorted(dict(self.crons).items())]
        return spec(self.title, *sorted(self.params), schedules=declared, **{k: v for k, v in options.items() if v})

    def joined(self, other: Job) -> Job:
        """Return the job with the work of both branches."""
        return Job(
            self.title,
            self.params | other.params,
            self.indexes | other.indexes,
            frozenset({**dict(sorted(other.crons)), **dict(sorted(self.crons))}.items()),
            max(self.version, other.version),
            max(self.renamed, other.renamed),
            self.released | other.released | {self.params | other.params},
        )


Jobs = dict[str, Job]


class Work:
    """A user with some branches."""

    def __init__(self, root: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.jobs: dict[str, Jobs] = {"main": {title: Job(title) for title in TITLES[:2]}}
        self.repo: Repository = repository(root, **{job.name: job.spec for job in self.jobs["main"].values()})
        self.at, self.count = "main", 0

    def step(self) -> None:
        self.random.choices((self.branch, self.change, self.join), (2, 4, 3))[0]()

    def branch(self) -> None:
        start = self.random.choice([*self.jobs])
        self.at, self.jobs[f"work{len(self.jobs)}"] = f"work{len(self.jobs)}", dict(self.jobs[start])
        self.repo.switch(self.at, start)

    def change(self) -> None:
        jobs = self.jobs[self.at]
        job = jobs.get(self.random.choice(TITLES[: len(jobs) + 1]))
        self.count += 1
        if job is None:
            title = next(title for title in TITLES if title not in jobs)
            new = Job(title)
        else:
            new = self.random.choice(
                [self._wider, self._wider, self._scheduled, self._indexed, self._newer, self._renamed]
            )(job)
        self._write({**jobs, new.title: new})
        self.repo.commit()

    def join(self) -> None:
        other = self.random.choice([*self.jobs])
        if other == self.at:
            return
        self.repo.tries(
            *self.random.choice((("merge", "--quiet", "--no-edit"), ("merge", "--quiet", "-X", "ours"))), other
        )
        mine, theirs = self.jobs[self.at], self.jobs[other]
        both = {
            title: mine[title].joined(theirs[title]) if title in mine and title in theirs else {**theirs, **mine}[title]
            for title in {**mine, **theirs}
        }
        self._write(both)
        self.repo.settle()

    def _write(self, jobs: Jobs) -> None:
        """Write the specs, and move the handlers of renamed specs, as a user does."""
        root = self.repo.project.root
        for path in (root / "specs").glob("*.json"):
            path.unlink()
        for job in jobs.values():
            self.repo.project.write_spec(job.name, job.spec)
            for path in [*(root / "handlers").glob(f"{job.title.lower()}*.py")]:
                base, mark, version = path.stem.partition("_v")
                moved = path.with_name(f"{job.name}{mark}{version}.py")
                if base != job.name:
                    path.unlink() if moved.exists() else path.rename(moved)
        for path in (root / "handlers").glob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "<<<<<<< " in text or "_v" in path.stem:
                path.unlink()  # a stub, which is generated again
        self.jobs[self.at] = jobs

    def _wider(self, job: Job) -> Job:
        params = job.params | {f"p{self.count}"}
        return replace(job, params=params, released=job.released | {params})

    def _scheduled(self, job: Job) -> Job:
        name = self.random.choice(("nightly", "hourly"))
        crons = {**dict(job.crons), name: f"{self.random.randrange(60)} 3 * * *"}
        return replace(job, crons=frozenset(crons.items()))

    def _indexed(self, job: Job) -> Job:
        return replace(job, indexes=job.indexes ^ {self.random.choice(sorted(job.params))})

    def _newer(self, job: Job) -> Job:
        return replace(job, version=job.version + 1)

    def _renamed(self, job: Job) -> Job:
        return replace(job, renamed=job.renamed + 1)


def recorded(url: str) -> list[str]:
    """Return the recorded revisions of a database."""
    query = "SELECT version_num FROM server_jobs_version"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return [str(one) for (one,) in connection.execute(query)]
    with psycopg.connect(url) as connection:
        return [str(one) for (one,) in connection.execute(query)]


def databases(folder: Path, stack: ExitStack) -> Iterator[str]:
    """Yield two files, and a database on PostgreSQL."""
    yield from (f"sqlite:///{folder / name}.sqlite3" for name in ("one", "two"))
    yield stack.enter_context(postgres_database())


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_random_work_on_branches(tmp_path: Path, seed: int) -> None:
    work, folder = Work(tmp_path / "project", seed), tmp_path / "databases"
    folder.mkdir()
    with ExitStack() as stack:
        urls = [*databases(folder, stack)]
        for url in urls:
            work.repo.migrate(url)
        for _ in range(STEPS):
            work.step()
            url = work.random.choice(urls)
            versions = work.repo.project.path("generated/migrations/versions")
            if all([*versions.glob(f"{one}_*.py")] for one in recorded(url)):
                work.repo.migrate(url)
                check(work, url)


def check(work: Work, url: str) -> None:
    """Check that the database and the lock have everything that the branch has."""
    jobs = work.jobs[work.at].values()
    for job in jobs:
        assert columns(url, f"{job.name}_jobs") == job.params
        contracts = [one for version in range(1, job.version + 1) for one in work.repo.contracts(job.title, version)]
        assert {*map(frozenset, contracts)} >= job.released
    assert schedules(url) == {(job.title, name, cron) for job in jobs for name, cron in job.crons}
