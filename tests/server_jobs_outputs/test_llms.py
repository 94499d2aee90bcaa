"""`llms.txt` has every job in the form of llmstxt.org."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_jobs.project import Project
from server_jobs_outputs.llms import llms_text

from tests.generator.spec_projects import a_spec, an_object, read
from tests.server_jobs_outputs.test_catalogue import HOSTILE, hostile_job, shape

ROOT = Path(__file__).parents[2]
# The pattern of the reference parser: each line of a section is a link, and perhaps a note.
LINK = re.compile(r"-\s*\[(?P<title>[^\]]+)\]\((?P<url>[^)]+)\)(?::\s*(?P<note>.*))?")

SPECS = {
    "send_email.json": a_spec(
        {
            **an_object(to={"type": "string", "format": "email"}, tags={"type": "array", "items": {"enum": ["a|b"]}}),
            "required": ["to"],
            "examples": [{"to": "ada@example.com"}],
        },
        description="Send *one* e-mail\n\nMore about it.",
        title="SendEmail",
        **{
            "x-job": {
                "queue": "mail",
                "schedules": [{"name": "daily", "cron": "0 9 * * *", "params": {"to": "ada@example.com"}}],
            }
        },
    ),
    "clean_up.json": a_spec(),
    "old.json": a_spec(**{"x-job": {"status": "retired"}}),
}
EXPECTED = """\
## Jobs

- [CleanUp](../../specs/clean_up.json): Params: none. Queue: `default`.
- [SendEmail](../../specs/send_email.json): Send \\*one\\* e-mail. Params: `to` (string (email), required), \
`tags` (list of "a\\|b"). Queue: `mail`. Schedule daily: `every day at 09:00 (0 9 * * *), UTC, missed slots: \
fire_once, params {"to": "ada@example.com"}`. Example of params: `{"to": "ada@example.com"}`.

## Contracts

- [Catalogue](catalogue.md): every job with its options, properties and examples

## Optional

- [Old](../../specs/old.json): Retired: it cannot be enqueued. Params: none. Queue: `default`.
"""


def sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the lines of each section."""
    for part in text.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        yield title, [line for line in lines if line]


def test_the_jobs_are_listed_with_params_queue_schedules_and_an_example(tmp_path: Path) -> None:
    jobs = sorted(read(tmp_path, SPECS).jobs, key=lambda job: job.class_name)
    text = llms_text(Project(root=tmp_path, name="shop", output="src/shop/jobs", outputs=("llms", "catalogue")), jobs)

    head, _, rest = text.partition("\n## ")
    assert head.startswith("# shop\n\n> The background jobs of this project.")
    assert "`from shop.jobs.jobs import NAME`" in head
    assert f"## {rest}" == EXPECTED.replace("../../specs", "../../../../specs")


def test_a_parser_of_the_format_finds_each_link_and_each_file() -> None:
    text = (ROOT / "generated/contracts/llms.txt").read_text(encoding="utf-8")
    found = dict(sections(text))

    assert found.keys() == {"Jobs", "Contracts"}
    links = [LINK.fullmatch(line) for lines in found.values() for line in lines]
    assert len(links) == 7
    assert all(link and (ROOT / "generated/contracts" / link["url"]).is_file() for link in links)


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_of_a_spec_is_markup(tmp_path: Path, word: str) -> None:
    def text(word: str, name: str) -> str:
        (tmp_path / name).mkdir()
        return llms_text(Project(root=tmp_path, name="shop"), [hostile_job(tmp_path / name, word)])

    found = set(shape(text(word, "hostile")))

    assert found - {"code_inline"} <= set(shape(text("word", "plain")))
