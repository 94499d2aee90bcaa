"""Every rule has a page. Its wrong example breaks the rule, and its right one breaks none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import server_jobs_generator
from server_jobs import __version__
from server_jobs.project import ALLOWABLE, Project, find_project
from server_jobs_cli.generator.explain import RulePage, read_page, rule_ids, rule_page
from server_jobs_generator.contracts.compare.compare_schemas import compare
from server_jobs_generator.contracts.contract_rules import NEVER_REPORTED, ChangeRule
from server_jobs_generator.contracts.job_history import release
from server_jobs_generator.contracts.lock_file import Lock
from server_jobs_generator.contracts.review import review
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.plan import State
from server_jobs_generator.problems import rules as problem_rules
from server_jobs_generator.problems.rules import Rule
from server_jobs_generator.problems.verdict import Verdict
from server_jobs_outputs.cloudflare import rules as worker_rules
from server_jobs_outputs.cloudflare.project_lint import check_worker
from server_jobs_outputs.templating import plain_template

from tests.generator.projects import TemporaryProject, commit_all, make_project
from tests.generator.spec_projects import Schema, a_spec, a_spec_without_result, an_object, read, write

PAGES = Path(server_jobs_generator.__file__).parent / "rules"
# The places of examples that are not part of a spec.
SHELL = "in a shell"
TOP = "among the keys at the top of a spec"
GENERATED = "in a shell, where everything has been generated"
LOCKED = "in a shell, on a branch where a spec got another property"
PARAMS = "in params that change"
RESULT = "in a result that changes"
SPEC = "in a spec that changes"
ACCEPTED = "in specs/contracts.accepted.json"
HANDLER = "in a handler"
WRANGLER = "in generated/worker/wrangler.jsonc"
PYPROJECT = "in generated/worker/pyproject.toml"
NO_PROPERTIES: Schema = {}
BESIDE = {"shared/address.json": an_object(street={"type": "string"})}


def base() -> Schema:
    """Return a spec without problems, with everything that examples refer to."""
    params = an_object(to={"type": "string"}, x={"type": "string"})
    frame = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Case", "x-job": {}}
    return a_spec(params, **frame, **{"$defs": {"Address": an_object(street={"type": "string"})}})


def with_text_at(pointer: str, text: str) -> bytes:
    """Return the spec with this raw text at a place; it may be invalid JSON."""
    document = base()
    *steps, last = pointer.split("/")[1:]
    around = document
    for step in steps:
        inner = around[step]
        assert isinstance(inner, dict)
        around = inner
    assert last in around
    around[last] = "HERE"
    return json.dumps(document).replace('"HERE"', text).encode()


def rules_of_spec(root: Path, place: str, text: str) -> set[str]:
    write(root, BESIDE)
    if place == SHELL:
        subprocess.run(text, shell=True, cwd=root, check=True, timeout=60)
    elif place == TOP:
        document = {key: value for key, value in base().items() if key != "x-job"}
        write(root, {"case.json": json.dumps(document).replace("{", f"{{{text}, ", 1).encode()})
    else:
        write(root, {"case.json": with_text_at(place, text)})
    specs = read_specs(root, root / "specs")
    return {problem.rule for problem in (*specs.problems, *specs.warnings)}


def rules_of_handler(root: Path, text: str) -> set[str]:
    project = Project(root=root)
    files = {
        "specs/job.json": '{"x-job": {}}',
        "handlers/__init__.py": "",
        "handlers/other.py": "",
        "handlers/job.py": f"{text}\n",
        "shared/words.py": "",
        "generated/worker/wrangler.jsonc": plain_template("wrangler.jsonc"),
        "generated/worker/pyproject.toml": f'[project]\ndependencies = ["server-jobs[dashboard]=={__version__}"]\n',
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return {finding.rule for finding in check_worker(project)}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = make_project(tmp_path_factory.mktemp("worker") / "project")
    project.generate()
    # As a wheel from an index is named, not as the folder of this repository.
    settings = project.read("generated/worker/pyproject.toml").partition("[tool.uv.sources]")[0]
    pinned = settings.replace('"server-jobs[dashboard]"', f'"server-jobs[dashboard]=={__version__}"')
    project.path("generated/worker/pyproject.toml").write_text(pinned, encoding="utf-8")
    return project.root


def rules_of_settings(root: Path, place: str, text: str) -> set[str]:
    """Return the rules that the Worker's files break if one line in one of them is this text."""
    file = root / place.removeprefix("in ")
    before = file.read_text(encoding="utf-8")
    key = re.match(r'"?(\w+)', text)
    assert key is not None
    line = re.compile(rf'^(?P<before>\s*)"?{key[1]}"?\s*[:=](?:.*\{{\n[^}}]*\}}|.*?)(?P<comma>,?)$', re.MULTILINE)
    after, count = line.subn(lambda match: f"{match['before']}{text}{match['comma']}", before, count=1)
    assert count == 1
    file.write_text(after, encoding="utf-8")
    try:
        return {finding.rule for finding in check_worker(find_project(root))}
    finally:
        file.write_text(before, encoding="utf-8")


def rules_of_outputs(root: Path, generated: Path, example: RulePage, text: str) -> set[str]:
    """Return the states of files after everything was generated and the mistake was made, and fixed if this is how."""
    project = TemporaryProject(shutil.copytree(generated, root / "project"))
    if example.right.startswith("git "):
        commit_all(project.root)
    steps = example.wrong if text == example.wrong else f"{example.wrong}\n{example.right}"
    for step in steps.splitlines():
        if step.startswith("server-jobs generate"):
            project.generate(*step.split()[2:])
        else:
            subprocess.run(step, shell=True, cwd=project.root, check=True, timeout=60)
    found = json.loads(project.run("check", "--json").output)
    # Side effects of every change: the manifest, and the revision that drops the view of a job.
    others = ("generated/manifest.json", "generated/migrations/", "generated/worker/migrations/")
    states = {file["state"] for file in found["files"] if not file["path"].startswith(others)}
    return states | {problem["rule"] for problem in found["problems"]}


def rules_of_lock(root: Path, generated: Path, text: str) -> set[str]:
    """Return the rules broken since the commit, after a property was added and this text was run."""
    project = TemporaryProject(shutil.copytree(generated, root / "project"))
    commit = 'git init --quiet && git add -A && git -c user.name=x -c user.email=x commit --quiet -m "One."'
    subprocess.run(commit, shell=True, cwd=project.root, check=True, timeout=60)
    spec = json.loads(project.read("specs/send_email.json"))
    spec["properties"]["params"]["properties"]["more"] = {"type": "string"}
    project.write_spec("send_email", spec)
    project.generate(*text.split()[2:])
    found = json.loads(project.run("check", "--against", "HEAD", "--json").stdout)
    return {finding["rule"] for finding in found["contracts"]}


def rules_of_change(root: Path, place: str, text: str) -> set[str]:
    """Return the rules that a change of a released spec breaks. Rules of its remedies are separate.

    `branch` is the spec that another branch released, before the two were merged.
    """
    change = json.loads(text)
    if place == ACCEPTED:
        change |= {"before": {"params": {"x": {"enum": ["a", "b"]}}}, "after": {"params": {"x": {"enum": ["a"]}}}}
    elif place != SPEC:
        part = "params" if place == PARAMS else "result"
        change = {when: {part: members} for when, members in change.items()}
    before, after = (a_case(**change[when]) for when in ("before", "after"))
    merged = (
        release(Lock(), read(root, {"case.json": a_case(**change["branch"])}).jobs) if "branch" in change else Lock()
    )
    released = read(root, {"case.json": before})
    now = read(
        root, {"case.json": after, **({"contracts.accepted.json": text.encode()} if "accepted" in change else {})}
    )
    if released.problems:  # even invalid specs can be compared
        return {one.rule.value for one in compare(*(params_of(spec) for spec in (before, after)))}
    assert not now.problems
    found = review(Project(root=root, outputs=("typescript",)), release(merged, released.jobs), now.jobs)
    return {finding.rule for finding in found if finding.accepted is None}


def params_of(spec: Schema) -> Schema:
    parts = spec["properties"]
    assert isinstance(parts, dict)
    params = parts["params"]
    assert isinstance(params, dict)
    return params


def a_case(params: Schema = NO_PROPERTIES, result: Schema | None = NO_PROPERTIES, **more: object) -> Schema:
    """Return a spec with these properties; those whose name ends in `?` are optional. None: it has no result."""
    parts = [
        {
            **an_object(**{name.rstrip("?"): schema for name, schema in members.items()}),
            "required": [name for name in members if not name.endswith("?")],
        }
        for members in (params, result)
        if members is not None
    ]
    make = a_spec_without_result if result is None else a_spec
    return make(*parts, **{"title": "Case", **more})


def rules_broken(root: Path, worker: Path, example: RulePage, text: str) -> set[str]:
    root.mkdir()
    if example.place in (WRANGLER, PYPROJECT):
        return rules_of_settings(worker, example.place, text)
    if example.place in (PARAMS, RESULT, SPEC, ACCEPTED):
        return rules_of_change(root, example.place, text)
    if example.place == LOCKED:
        return rules_of_lock(root, worker, text)
    if example.place == GENERATED:
        return rules_of_outputs(root, worker, example, text)
    if example.place == HANDLER:
        return rules_of_handler(root, text)
    return rules_of_spec(root, example.place, text)


@pytest.mark.parametrize("name", rule_ids())
def test_the_wrong_example_breaks_the_rule_and_the_right_one_none(tmp_path: Path, worker: Path, name: str) -> None:
    example = rule_page(name)
    wrong = rules_broken(tmp_path / "wrong", worker, example, example.wrong)
    assert wrong - WITH_OTHERS.get(name, {"VERSION_NOT_BUMPED", "RESULT_BROKEN"}) == {name}
    assert rules_broken(tmp_path / "right", worker, example, example.right) == set()


WITH_OTHERS = {
    "database-drivers": {"missing-package"},
    "TOO_MANY_PROBLEMS": {"KEYWORD_VALUE"},
    "VERSION_NOT_BUMPED": {"REQUIRED_ADDED"},
    "RESULT_BROKEN": {"NULL_ADDED"},
    "ACCEPTED_EXPIRED": {"ENUM_REMOVED", "VERSION_NOT_BUMPED"},
    "ACCEPTED_UNUSED": {"ENUM_REMOVED", "VERSION_NOT_BUMPED"},
    "ACCEPTED_MALFORMED": {"ENUM_REMOVED", "VERSION_NOT_BUMPED"},
}


def test_every_rule_has_one_page_and_no_page_is_without_a_rule() -> None:
    named = vars(problem_rules).values()
    of_files = [rule.id for rule in named if isinstance(rule, Rule)]
    of_workers = [rule.name for rule in vars(worker_rules).values() if isinstance(rule, worker_rules.Rule)]
    of_contracts = set(ChangeRule) - NEVER_REPORTED
    assert sorted([*of_files, *State, *of_contracts, *of_workers]) == list(rule_ids())


def test_a_project_may_allow_every_rule_that_warns() -> None:
    warnings = {
        rule.id for rule in vars(problem_rules).values() if isinstance(rule, Rule) and rule.verdict is Verdict.WARN
    }
    assert set(ALLOWABLE) == warnings


def test_a_rule_has_a_plain_id_a_summary_of_one_line_and_full_sentences() -> None:
    for page in map(rule_page, rule_ids()):
        assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*|[a-z]+(-[a-z]+)*", page.id)
        assert page.summary.isprintable()
        assert not page.summary.endswith(".")
        assert len(page.summary) <= 90
        assert re.fullmatch(r"\S.*\.", page.why), page.id


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# COMMENT", "# COMMENTS"),
        ("JSON file contains a comment.", "JSON file contains a comment"),
        ("Wrong, at", "Wrong at"),
        ("Right:", "Correct:"),
        ("\n```json\n", "\n"),
        ("\n\n", "\n\n\n"),
        ("\n# ", "\n## More\n\n# "),
    ],
)
def test_a_page_of_another_shape_is_refused(right: str, wrong: str) -> None:
    text = "\n" + (PAGES / "COMMENT.md").read_text(encoding="utf-8")
    assert right in text
    with pytest.raises(ValueError, match="the page of the rule COMMENT does not have the form"):
        read_page("COMMENT", text.replace(right, wrong, 1).removeprefix("\n"))
