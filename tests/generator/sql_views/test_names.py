"""Names of views, columns and indexes are short enough for PostgreSQL, unique, and never end their quotes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from server_jobs import schema
from server_jobs_generator.migrations.declared_state import view_columns
from server_jobs_generator.sql import folded, identifier, index_name, shortened, view_name

from tests.generator.spec_projects import a_spec, an_object, job

from .view_databases import ViewDatabase


def test_a_view_is_called_like_its_spec() -> None:
    assert view_name("send_email") == "send_email_jobs"
    assert index_name("send_email_jobs", "params_to") == "send_email_jobs_params_to_idx"


def test_no_view_takes_the_name_of_a_table() -> None:
    assert view_name("cron") == "cron_jobs_view"
    names = {view_name(table.removesuffix("_jobs")) for table in schema.metadata.tables}
    assert names.isdisjoint(schema.metadata.tables)


@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_names_are_short_and_stay_different(one: str, other: str) -> None:
    short, ending = shortened(one, "_jobs"), "_jobs"
    assert len(short.encode()) <= 63
    assert short.endswith(ending)
    assert (short == shortened(other, "_jobs")) == (one == other)


@given(st.text(min_size=1))
def test_an_identifier_ends_its_quotes_nowhere(name: str) -> None:
    quoted = identifier(name)
    assert quoted == name or quoted[1:-1].replace('""', "").count('"') == 0


def test_long_names_work_on_both_databases(database: ViewDatabase, tmp_path: Path) -> None:
    names = ["a" * 90 + ending for ending in "xy"] + ["größe" * 15]
    spec = job(tmp_path, a_spec(an_object(**{name: {"type": "string"} for name in names})))
    database.make_views(spec)
    row = database.columns(spec, database.insert(spec, f'{{"{names[0]}":"1","{names[1]}":"2","{names[2]}":"3"}}'))
    columns = [column.name for column in view_columns(spec)]
    assert [row[name] for name in columns] == ["1", "2", "3"]
    assert all(len(name.encode()) <= 63 for name in columns)


@given(
    st.lists(st.sampled_from(["CASE", "x = 'a  b' AND", '"a  b",', "'it''s  ''  '", "y" * 130, "(f(a),"]), max_size=60)
)
def test_a_long_line_is_broken_only_between_words(words: list[str]) -> None:
    line = "    " + " ".join(words)
    lines = folded(line).split("\n")
    assert " ".join(each.strip() for each in lines).strip() == line.strip()
    assert all(each.count("'") % 2 == each.count('"') % 2 == 0 for each in lines)
    assert all(len(each) <= 110 or " " not in each.strip() for each in lines)
