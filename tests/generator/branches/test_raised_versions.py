"""Two branches that raise the same version differently: who follows the printed advice keeps the rows of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.branches.branching import Repository, repository
from tests.generator.projects import job_spec
from tests.generator.spec_projects import an_object

COUNT, NAMES = {"type": "integer"}, {"type": "array", "items": {"type": "string"}}
PRINT_IT = "def handle(params, context):\n    print('handled', params)\n"
UPCAST = """\
from generated.models.remind_v2 import RemindParamsV2
from generated.models.remind_v3 import RemindParamsV3


def upcast(params: RemindParamsV2) -> RemindParamsV3:
    return RemindParamsV3(who=str(params.who))
"""


def remind(version: int, **who: object) -> dict[str, object]:
    """Return a job with the required property `who`."""
    params = {**an_object(who=who), "required": ["who"]}
    return {**job_spec("Remind", version=version), "properties": {"params": params, "result": an_object()}}


@pytest.mark.slow
def test_the_advice_keeps_the_rows_of_both_branches(tmp_path: Path) -> None:
    repo = repository(tmp_path / "project", remind=remind(1, type="string"))
    _run(repo, "migrate")
    for branch, who, value in (("one", COUNT, 7), ("other", NAMES, ["Ada"])):
        repo.switch(branch)
        repo.commit(remind=remind(2, **who))
        _run(repo, "enqueue", "Remind", "--params", json.dumps({"who": value}))
    repo.switch("one")
    assert not repo.merge("other")

    # The users of both branches want a text now.
    wanted = remind(3, type="string", minLength=1)
    assert "let params take the rows of all of them" in _refused(repo, {**wanted, "x-job": {"version": 2}})
    advice = _refused(repo, wanted)
    assert "[EARLIER_BROKEN]" in advice
    assert 'write "version": 2 in x-job, let params take the rows of all of them' in advice
    assert 'run server-jobs generate, and then write "version": 3' in advice

    repo.project.write_spec("remind", remind(2, anyOf=[COUNT, NAMES]))
    repo.project.generate()
    repo.settle(remind=wanted)
    repo.project.path("handlers/remind_v2.py").write_text(UPCAST, encoding="utf-8")
    repo.project.path("handlers/remind.py").write_text(PRINT_IT, encoding="utf-8")
    _run(repo, "migrate")
    handled = _run(repo, "worker", "--until-empty")
    assert "handled who='7'" in handled
    assert "handled who=\"['Ada']\"" in handled


def test_a_merge_into_a_version_that_was_raised_again_is_refused(tmp_path: Path) -> None:
    repo = repository(tmp_path / "project", remind=remind(1, type="string"))
    repo.switch("one")
    repo.commit(remind=remind(2, **COUNT))
    repo.commit(remind=remind(3, type="string"))
    repo.switch("other")
    repo.commit(remind=remind(2, **NAMES))
    repo.switch("one")
    repo.merge("other")
    advice = _refused(repo, remind(3, type="string"))
    assert "the kept model of version 2 refuses rows of its other contracts: params/who was" in advice
    assert "once none is left, run server-jobs generate --forget Remind:1 --forget Remind:2" in advice
    repo.project.generate("--forget", "Remind:1", "--forget", "Remind:2")


def _refused(repo: Repository, spec: dict[str, object]) -> str:
    """Return why `generate` refuses this spec."""
    repo.project.write_spec("remind", spec)
    result = repo.project.run("generate")
    assert result.exit_code == 1, result.output
    return result.output


def _run(repo: Repository, *arguments: str) -> str:
    program = Path(sys.executable).with_name("server-jobs")
    command = [str(program), *arguments, "--database", "sqlite:///jobs.sqlite3"]
    done = subprocess.run(command, cwd=repo.project.root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
