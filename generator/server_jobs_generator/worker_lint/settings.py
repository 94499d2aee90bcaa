"""A JSON file beside the Worker, with the place of everything in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import JsonValue
from server_jobs.project import Project

from ..problems.problem import shown
from ..python.template import render
from ..read.document import Document, read_document
from .finding import CodeFinding
from .rules import UNREADABLE, Rule


@dataclass(frozen=True, slots=True)
class Settings:
    """`document` is None for a file that is not there or cannot be understood; then everything in it is missing."""

    document: Document | None = None
    findings: tuple[CodeFinding, ...] = ()

    def at(self, *pointer: str | int) -> JsonValue:
        """The value there, None if there is none."""
        value = None if self.document is None else self.document.value
        for step in pointer:
            match value, step:
                case dict(), str():
                    value = value.get(step)
                case list(), int() if step < len(value):
                    value = value[step]
                case _:
                    return None
        return value

    def names_at(self, *pointer: str | int) -> list[str]:
        """The texts in the list there, or the keys of the object."""
        value = self.at(*pointer)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list | dict) else []

    def finding(self, rule: Rule, *pointer: str | int, subject: str | None = None) -> CodeFinding:
        """What a rule has to say about the value there, or about what is around the place where it should be."""
        if self.document is None:
            raise ValueError("a file that could not be read has no places")
        line, column = self.document.place(pointer)
        value = self.at(*pointer)
        name = ".".join(str(step) for step in pointer if isinstance(step, str))
        said = subject or f"{name} is {'missing' if value is None else shown(value)}"
        return _finding(self.document.path, line, column, rule, f"{said}: {rule.why}")


def read_settings(project: Project, path: str, *, is_jsonc: bool = False) -> Settings:
    """Read the file, which is the user's: what is no JSON in it is a finding. One that is missing is told elsewhere."""
    file = project.root / path
    if not file.is_file():
        return Settings()
    reading = read_document(path, file.read_bytes(), is_jsonc=is_jsonc)
    findings = tuple(_finding(path, one.line, one.column, UNREADABLE, one.message) for one in reading.problems)
    return Settings(None if findings else reading.document, findings)


@cache
def generated_wrangler() -> Settings:
    """The wrangler.jsonc that a new project gets."""
    template = "wrangler.jsonc.jinja"
    return Settings(read_document(template, render(template).encode(), is_jsonc=True).document)


def _finding(path: str, line: int, column: int, rule: Rule, message: str) -> CodeFinding:
    return CodeFinding(path, line, column, rule.verdict, rule.name, message, rule.advice)
