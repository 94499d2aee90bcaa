"""Unique keys and databases of jobs, and the findings when they change."""

from __future__ import annotations

from typing import cast

import pytest
from server_jobs_generator.contracts.finding import Severity

from tests.generator.contracts.history import TEXT, History, needing, stopping
from tests.generator.spec_projects import Schema, an_object


def unique(*pointers: str, **more: object) -> Schema:
    return cast("Schema", {"unique": {"by": [*pointers]}, **more})


def test_a_removed_property_of_the_unique_key_is_reported_at_any_depth(history: History) -> None:
    history.release(an_object(c=an_object(id=TEXT, x=TEXT)), x_job=unique("/c/id"))
    change = an_object(c=an_object(x=TEXT))
    (_, found) = history.now(change, x_job=unique("/c/x"))
    assert (found.rule, found.stops, found.place.pointer) == ("UNIQUE_PROP_REMOVED", True, "/x-job/unique")
    assert 'params no longer have "/c/id"' in found.message


def test_properties_of_the_unique_key_are_found_behind_references_and_in_lists(history: History) -> None:
    options = unique("/list/0/a~1b", "/any/x", "")
    branches = {"anyOf": [an_object(x=TEXT), {"type": "null"}]}
    history.release(an_object(list={"type": "array", "items": an_object(**{"a/b": TEXT})}, any=branches), x_job=options)
    wider = {"type": "array", "items": an_object(**{"a/b": TEXT}, more=TEXT)}
    assert history.now(an_object(list=wider, any=branches), x_job=options) == []


def test_a_new_version_makes_changed_keys_a_warning(history: History) -> None:
    history.release(needing(x=TEXT), x_job=unique("/x"))
    assert "UNIQUE_PROP_REMOVED" in stopping(history.now(needing(y=TEXT), x_job=unique("/y")))
    (told,) = history.now(needing(y=TEXT), x_job=unique("/y", version=2))
    assert (told.rule, told.stops) == ("UNIQUE_CHANGED", False)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (unique("/x"), unique("/x", "/y"), 'jobs were unique by "/x", and are unique by "/x", "/y" now'),
        (unique("/x", "/y"), unique("/y", "/x"), 'jobs were unique by "/x", "/y", and are unique by "/y", "/x" now'),
        (unique("/x"), {}, 'jobs were unique by "/x", and are not unique now'),
        ({}, unique("/x"), 'jobs were not unique, and are unique by "/x" now'),
    ],
)
def test_a_change_of_unique_values_is_reported(history: History, before: Schema, after: Schema, message: str) -> None:
    history.release(an_object(x=TEXT, y=TEXT), x_job=before)
    (found,) = history.now(an_object(x=TEXT, y=TEXT), x_job=after)
    assert (found.rule, found.severity, found.message) == ("UNIQUE_CHANGED", Severity.WARNING, message)
    history.release(an_object(x=TEXT, y=TEXT), x_job=after)
    assert history.now(an_object(x=TEXT, y=TEXT), x_job=after) == []


def test_a_change_of_the_shard_is_a_warning(history: History) -> None:
    params = needing(x=TEXT, y=TEXT)
    history.release(params, x_job={"shardBy": "/x"})
    (found,) = history.now(params, x_job={"shardBy": "/y"})
    assert (found.rule, found.stops, found.message) == (
        "SHARD_CHANGED",
        False,
        'jobs were sharded by "/x", and are sharded by "/y" now',
    )
    history.release(params, x_job={"shardBy": "/y"})
    assert history.now(params, x_job={"shardBy": "/y"}) == []
