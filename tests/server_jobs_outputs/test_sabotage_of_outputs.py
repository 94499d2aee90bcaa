"""Without a protection of the outputs, its test fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jinja2 import Environment, PackageLoader
from server_jobs.contract.json_schema import schemas_of_models
from server_jobs_http.app import PREFIX
from server_jobs_http.openapi import document
from server_jobs_outputs.catalogue import pages
from server_jobs_outputs.catalogue.entries import entries_of
from server_jobs_outputs.typescript import text as typescript
from server_jobs_outputs.typescript.type_writer import TypeWriter

from generated.jobs import SendEmail
from generated.registry import registry
from tests.server_jobs_outputs.test_asyncapi import references
from tests.server_jobs_outputs.test_catalogue import HOSTILE, Page, hostile_job, tokens

ROOT = Path(__file__).parents[2]


def test_a_document_of_models_is_not_that_of_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    written = json.loads((ROOT / "generated/contracts/openapi.json").read_text(encoding="utf-8"))
    assert document(registry, server=PREFIX) == written

    own = schemas_of_models(SendEmail.params_model, SendEmail.result_model)
    monkeypatch.setattr(SendEmail, "schemas", classmethod(lambda cls: own))

    assert document(registry, server=PREFIX) != written


def test_references_that_are_not_rewritten_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from server_jobs_http.openapi import documents

    monkeypatch.setattr(documents, "refer_by", lambda schema, rename: schema)

    assert any(reference.startswith("#/$defs/") for reference in references(document(registry, server=PREFIX)))


def test_a_comment_that_is_not_made_harmless_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typescript, "_harmless", lambda text: text)

    assert typescript.comment(["a */ b"]).count("*/") == 2


def test_a_definition_that_is_only_itself_would_be_declared_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TypeWriter, "_reaches", lambda self, start: False)
    writer = TypeWriter({"A": {"$ref": "#/$defs/A"}}, {"A": "A"})

    assert list(writer.declare_definitions()) == ["export type A = A;\n"]


def test_text_that_is_not_escaped_is_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "plain", lambda text: text)
    kinds: set[str] = set()
    for number, word in enumerate(HOSTILE):
        folder = tmp_path / str(number)
        folder.mkdir()
        kinds |= {token.type for token in tokens(pages.markdown_text(entries_of([hostile_job(folder, word)])))}

    assert kinds >= {"html_block", "html_inline", "image", "blockquote_open", "ordered_list_open", "hr", "s_open"}


def test_a_page_that_is_not_escaped_has_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = PackageLoader("server_jobs_outputs")
    monkeypatch.setattr(pages, "_environment", lambda: Environment(loader=loader, autoescape=False))

    found = Page(pages.html_text(entries_of([hostile_job(tmp_path, "<script>alert(1)</script>")])))

    assert "script" in found.tags
