"""The place of the documentation, in a wheel of its own beside the installed one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, block
from tests.docs.reader import shell
from tests.once import made_once

from .environments import Environments
from .projects import GENERATOR, User

PAGE = ROOT / "docs/how-to/write-a-plug-in.md"
TEXT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}
SPEC = {
    "title": "Compress",
    "x-job": {"runIn": "polite", "niceness": 7, "maxAttempts": 1, "timeout": "PT20S"},
    "type": "object",
    "required": ["params", "result"],
    "properties": {"params": TEXT, "result": TEXT},
}
HANDLER = """
import os

from generated.models.compress import CompressParams, CompressResult
from server_jobs import JobContext


async def handle(params: CompressParams, context: JobContext) -> CompressResult:
    print("not a part of the result")
    if params.text == "fail":
        raise ValueError("no good")
    return CompressResult(text=f"{params.text} with niceness {os.nice(0)}")
"""


def wheel_of_the_page(folder: Path) -> Path:
    """Build the package of the page."""
    for language, path in (("toml", "pyproject.toml"), ("python", "polite.py")):
        (folder / path).write_text(block(PAGE, language, f"plug-ins/polite/{path}"), encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "."]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_a_place_written_from_the_page_runs_the_jobs_that_name_it(
    environments: Environments, project: Path, shared: Path, tmp_path: Path
) -> None:
    wheel = str(made_once(shared / "polite", wheel_of_the_page))
    user = User(Path(shutil.copytree(project, tmp_path / "project")), environments.programs(GENERATOR))
    (user.folder / "specs/compress.json").write_text(json.dumps(SPEC), encoding="utf-8")
    assert 'must be worker, process or kubernetes, not "polite"' in user.types("server-jobs check", status=1)
    user = User(user.folder, environments.programs(GENERATOR, wheel))
    refused = user.types("server-jobs generate", status=1)
    assert 'a Cloudflare Worker has no place "polite"' in refused
    settings = user.folder / "pyproject.toml"
    text = settings.read_text(encoding="utf-8").replace("'cloudflare', ", "")
    settings.write_text(text, encoding="utf-8")
    install, generate, enqueue, work = block(PAGE, "sh", "plug-in polite").splitlines()
    assert install == "pip install ./polite"
    spec = user.folder / "specs/compress.json"
    spec.write_text(json.dumps(SPEC).replace("7", "70"), encoding="utf-8")
    assert "/x-job/niceness must be at most 19, not 70" in user.types("server-jobs check", status=1)
    spec.write_text(json.dumps(SPEC).replace("polite", "process"), encoding="utf-8")
    assert '/x-job/niceness works only with "runIn": "polite"' in user.types("server-jobs check", status=1)
    spec.write_text(json.dumps(SPEC), encoding="utf-8")
    user.types(generate)
    assert '"niceness"' in (user.folder / "generated/spec.schema.json").read_text(encoding="utf-8")
    (user.folder / "handlers/compress.py").write_text(HANDLER, encoding="utf-8")

    user = User(user.folder, environments.programs("server-jobs[worker]"))
    user.types(f"server-jobs migrate && {enqueue}")
    user.types(enqueue.replace("aaaa", "fail"))
    log = user.types(work)
    assert "the jobs Compress are not claimed: no place is called 'polite'; places are worker, process, kub" in log
    assert json.loads(user.types("server-jobs list --json --status pending"))

    user = User(user.folder, environments.programs("server-jobs[worker]", wheel))
    worked = shell(work, user.folder, [user.programs])
    assert worked.returncode == 0, worked.stdout
    log = worked.stdout
    assert "ValueError: no good" in log
    assert "the polite process ended with status 1; its log says why" in log
    jobs = json.loads(user.types("server-jobs list --json"))
    assert sorted(job["status"] for job in jobs) == ["completed", "failed"]
    (done,) = [job["id"] for job in jobs if job["status"] == "completed"]
    assert f"aaaa with niceness {min(19, os.nice(0) + 7)}" in user.types(f"server-jobs show {done}")


def test_the_place_of_the_page_is_short() -> None:
    assert len(block(PAGE, "python", "plug-ins/polite/polite.py").splitlines()) < 60
