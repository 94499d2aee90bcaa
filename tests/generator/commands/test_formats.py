"""`--format`: the same findings for people, programs, GitHub and code scanning services."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from server_jobs_cli.generator.report import ALL_IS_WELL

from tests.generator.projects import TemporaryProject, job_spec, make_project, run_command

WRONG = '{\n  "type": "object", "x-jobs": {},\n  "title": "a:b, 100%[x](y)\\u2028",\n  "properties": 3\n}'


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    project = make_project(tmp_path_factory.mktemp("generated") / "project", {"a": job_spec("A")})
    project.generate()
    return project


@pytest.fixture
def project(generated: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    return TemporaryProject(shutil.copytree(generated.root, tmp_path / "project"))


@pytest.fixture
def broken(project: TemporaryProject) -> TemporaryProject:
    project.path("specs/a.json").write_text(WRONG, encoding="utf-8")
    return project


def problems(project: TemporaryProject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.run("check", "--json").output)["problems"]
    return found


def test_a_line_ends_with_the_rule_that_explain_knows(broken: TemporaryProject) -> None:
    lines = broken.run("check").output.splitlines()
    unknown = '"x-jobs" is not accepted at the top of a spec (did you mean "x-job"?)'
    assert f"specs/a.json:2:21 /x-jobs {unknown} [UNKNOWN_KEY]" in lines
    for line in lines:
        rule = line.rpartition(" ")[2]
        assert run_command("explain", rule).exit_code == 0


@pytest.mark.parametrize("command", ["check", "generate"])
def test_json_is_the_same_by_either_name(broken: TemporaryProject, command: str) -> None:
    short, long = broken.run(command, "--json"), broken.run(command, "--format", "json")
    assert (short.exit_code, short.output) == (long.exit_code, long.output)
    assert json.loads(long.output)["problems"][0].keys() == {"path", "line", "column", "pointer", "message", "rule"}


def test_two_formats_are_wrong_usage(project: TemporaryProject) -> None:
    result = project.run("check", "--format", "sarif", "--json")
    assert result.exit_code == 2
    assert "--json is short for --format json, and --format sarif asks for another" in result.output
    assert json.loads(project.run("check", "--format", "json", "--json").output)["problems"] == []


def test_a_format_on_the_command_line_wins_over_a_variable(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SERVER_JOBS_FORMAT", "sarif")
        assert json.loads(project.run("check").output)["version"] == "2.1.0"
        assert json.loads(project.run("check", "--json").output)["problems"] == []
    monkeypatch.setenv("SERVER_JOBS_JSON", "1")
    assert json.loads(project.run("check").output)["problems"] == []
    assert json.loads(project.run("check", "--format", "sarif").output)["version"] == "2.1.0"
    assert project.run("check", "--format", "text").output == f"{ALL_IS_WELL}\n"


@pytest.mark.parametrize("command", ["check", "generate"])
def test_github_gets_one_command_a_problem_with_everything_escaped(broken: TemporaryProject, command: str) -> None:
    result = broken.run(command, "--format", "github")
    lines = result.output.splitlines()
    assert result.exit_code == 1
    assert len(lines) == len(problems(broken))
    (title,) = (line for line in lines if "NAME_NOT_USABLE" in line)
    place, _, message = title.removeprefix("::").partition("::")
    assert place == "error file=specs/a.json,line=3,col=12,title=NAME_NOT_USABLE"
    assert message.startswith('/title the title "a:b, 100%25[x](y)\\u2028" does not name a job')


def test_github_output_escapes_the_end_of_a_command_or_property(project: TemporaryProject) -> None:
    name = "a,b:c%\n::error::d"
    project.path(f"specs/{name}").touch()
    (line,) = project.run("check", "--format", "github").output.splitlines()
    assert line.startswith("::error file=specs/a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ad,line=1,col=1,title=FILE_MISPLACED::")


def test_github_finds_the_files_of_a_project_in_a_folder(
    broken: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(broken.root.parent))
    assert "file=project/specs/a.json," in broken.run("check", "--format", "github").output
    monkeypatch.setenv("GITHUB_WORKSPACE", str(broken.root))
    assert "file=specs/a.json," in broken.run("check", "--format", "github").output


@pytest.mark.parametrize("workspace", [None, "other"])
def test_programs_find_the_files_of_a_project_in_a_folder_of_a_repository(
    generated: TemporaryProject, tmp_path: Path, workspace: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workspace is None:
        monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    else:
        monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / workspace))
    (tmp_path / ".git").mkdir()
    project = TemporaryProject(shutil.copytree(generated.root, tmp_path / "jobs é" / "50%"))
    project.path("specs/a.json").write_text(WRONG, encoding="utf-8")
    assert "file=jobs é/50%25/specs/a.json," in project.run("check", "--format", "github").output
    run = check_shape(json.loads(project.run("check", "--format", "sarif").output))
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"] for one in run["results"]]
    assert {place["uri"] for place in places} == {"jobs%20%C3%A9/50%25/specs/a.json"}


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_a_file_whose_name_is_no_text_is_reported_in_every_format(project: TemporaryProject, form: str) -> None:
    for name in (b"b\xff.json", b"c\xff.txt"):
        (project.path("specs") / os.fsdecode(name)).write_text("{}", encoding="utf-8")
    result = project.run("check", "--format", form)
    assert result.exit_code == 1
    assert "the file's name is not UTF-8; rename it" in result.output
    assert "only .json, .jsonc, .yaml or .yml files belong in specs/" in result.output


def test_github_output_has_files_that_differ(project: TemporaryProject) -> None:
    project.edit("generated/registry.py")
    lines = project.run("check", "--format", "github").output.splitlines()
    place = "::error file=generated/registry.py,line=1,col=1,title=EDITED::"
    assert lines == [f"{place}generated/registry.py was changed by hand; make the change in the spec or in a handler"]
    assert project.run("generate", "--format", "github").output.splitlines() == lines
    assert project.run("generate", "--force", "--format", "github").output == "overwrote generated/registry.py\n"


def check_shape(document: dict[str, Any]) -> dict[str, Any]:
    """Return the run of a SARIF log, after checking it against the standard and its readers."""
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    run: dict[str, Any]
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "server-jobs"
    assert run["columnKind"] == "unicodeCodePoints"
    for rule in driver["rules"]:
        assert {"id", "shortDescription", "fullDescription", "help"} <= rule.keys()
        assert "Right:" in rule["help"]["text"]
        assert "```" in rule["help"]["markdown"]
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"].isprintable()
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert min(place["region"].values()) >= 1
    return run


@pytest.mark.parametrize("command", ["check", "generate"])
def test_sarif_has_every_problem_with_its_place_and_the_help_of_its_rule(
    broken: TemporaryProject, command: str
) -> None:
    result = broken.run(command, "--format", "sarif")
    assert result.exit_code == 1
    run = check_shape(json.loads(result.output))
    found = [
        {
            "path": unquote(one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]),
            "line": one["locations"][0]["physicalLocation"]["region"]["startLine"],
            "column": one["locations"][0]["physicalLocation"]["region"]["startColumn"],
            "rule": one["ruleId"],
        }
        for one in run["results"]
    ]
    assert found == [{key: one[key] for key in found[0]} for one in problems(broken)]


def test_a_message_is_no_link_in_sarif(broken: TemporaryProject) -> None:
    run = check_shape(json.loads(broken.run("check", "--format", "sarif").output))
    (text,) = (one["message"]["text"] for one in run["results"] if one["ruleId"] == "NAME_NOT_USABLE")
    assert r"100%\[x\](y)" in text


def test_sarif_has_the_files_and_the_code_too(project: TemporaryProject) -> None:
    project.path("generated/registry.py").unlink()
    project.path("handlers/a.py").write_text("import smtplib\n", encoding="utf-8")
    run = check_shape(json.loads(project.run("check", "--target", "cloudflare", "--format", "sarif").output))
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [("MISSING", "error"), ("sockets", "warning")]


def test_sarif_without_a_finding_is_a_valid_log(project: TemporaryProject) -> None:
    for command in ("check", "generate"):
        assert check_shape(json.loads(project.run(command, "--format", "sarif").output))["results"] == []


def test_wrong_usage_is_json_too_where_json_was_asked_for() -> None:
    for arguments in (["--json", "--wibble"], ["--format", "json", "--project"], ["--format=json", "--wibble"]):
        result = run_command("check", *arguments)
        assert result.exit_code == 2
        assert json.loads(result.output)["error"]["type"] == "UsageError"
    assert run_command("check", "--wibble").output.startswith("Usage: ")
    assert json.loads(run_command("chek", "--json").output)["error"]["message"].endswith("did you mean 'check'?")


def test_an_unknown_format_is_answered_with_those_there_are() -> None:
    result = run_command("check", "--format", "xml")
    assert result.exit_code == 2
    assert "'text', 'json', 'github', 'sarif'" in result.output
