"""The official tests of JSON Schema in a Worker. Runs in Pyodide, with a module that `suite_project` writes."""

from __future__ import annotations

from importlib import import_module

from server_jobs.contract.schemas.checker import Checker

DECISIONS: list[tuple[object, list[tuple[object, bool]]]] = import_module("tests.worker.suite.decisions").DECISIONS


def test_every_value_is_decided_as_by_cpython() -> None:
    assert len(DECISIONS) > 300
    for schema, values in DECISIONS:
        checker = Checker(schema)
        for value, is_fitting in values:
            assert checker.fits(value) == is_fitting, (schema, value)
