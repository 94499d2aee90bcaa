"""The tools of a generated Worker: exact versions, and those that the tests in workerd use."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from server_jobs_outputs.templating import plain_template

ROOT = Path(__file__).parents[2]


def test_the_tools_of_a_worker_have_exact_versions() -> None:
    of_node = json.loads(plain_template("worker_package.json"))["devDependencies"]
    (line,) = [line for line in plain_template("worker_pyproject.toml.jinja").splitlines() if line.startswith("dev = ")]
    of_python = tomllib.loads(line)["dev"]

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in of_node.values())
    assert all(re.fullmatch(r"[a-z-]+==\d+\.\d+\.\d+", requirement) for requirement in of_python)
    used = json.loads((ROOT / "tests/worker/package.json").read_text())["dependencies"]
    assert of_node["wrangler"] == used["wrangler"]
    tested = (ROOT / "tests/worker/requirements.txt").read_text().split()
    assert [one for one in of_python if one.startswith("workers-runtime-sdk")] == [
        one for one in tested if one.startswith("workers-runtime-sdk")
    ]
