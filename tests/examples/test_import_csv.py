"""`ImportCsv` on a real file of 28,298 airports, and on small files with one mistake each."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.testing import create_job_context

from generated.handlers import import_csv
from generated.models.import_csv import ImportCsvParams, ImportCsvResult
from tests.examples import airports
from tests.measuring import assert_cpu_seconds

Rows = list[tuple[object, ...]]
Import = Callable[..., ImportCsvResult]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty import folder, with the database beside the files."""
    monkeypatch.setenv("IMPORT_DIR", str(tmp_path))
    monkeypatch.setenv("EXAMPLE_DATABASE", str(tmp_path / "examples.sqlite3"))
    return tmp_path


@pytest.fixture
def all_airports(monkeypatch: pytest.MonkeyPatch) -> ImportCsvParams:
    monkeypatch.setenv("IMPORT_DIR", str(airports.ROOT))
    return airports.params()


@pytest.fixture
def import_text(folder: Path) -> Import:
    """Return a function that imports these bytes into the table `things` with the key `id`."""

    def run(data: str | bytes, *columns: dict[str, object], **changes: object) -> ImportCsvResult:
        (folder / "things.csv").write_bytes(data.encode() if isinstance(data, str) else data)
        return asyncio.run(import_csv.handle(things(*columns, **changes), create_job_context()))

    return run


def things(*columns: dict[str, object], **changes: object) -> ImportCsvParams:
    document = {
        "source": "things.csv",
        "table": "things",
        "key": "id",
        "columns": [{"name": "id"}, *columns],
        **changes,
    }
    return ImportCsvParams.model_validate(document, strict=False)


def rows_of(folder: Path, table: str = "things") -> Rows:
    with closing(sqlite3.connect(folder / "examples.sqlite3")) as connection:
        return connection.execute(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()


def problems_of(result: ImportCsvResult) -> list[tuple[int, list[str]]]:
    return [(row.line, row.problems) for row in result.rejected]


def test_every_airport_is_imported_or_reported(folder: Path, all_airports: ImportCsvParams) -> None:
    result = asyncio.run(import_csv.handle(all_airports, create_job_context()))

    assert result.rows_read == airports.ROWS == len(airports.lines()) - 1
    assert result.rows_imported + result.rows_rejected == result.rows_read
    assert result.rows_imported == result.rows_changed == len(rows_of(folder, "airports"))
    assert {broken.rule: broken.rows for broken in result.broken_rules} == {
        "city is empty": 2825,
        "elevation is above 14472": 2,
    }
    expected = ("EGLL", "London Heathrow Airport", "London", "GB", 83.0, 51.4706, -0.46194, "Europe/London")
    assert expected in rows_of(folder, "airports")


def test_the_reported_lines_are_where_the_bad_rows_are(all_airports: ImportCsvParams) -> None:
    result = asyncio.run(import_csv.handle(all_airports, create_job_context()))

    lines = airports.lines()
    assert len(result.rejected) == all_airports.max_reported_rows
    for row in result.rejected:
        (fields,) = csv.reader([lines[row.line - 1]])
        assert (fields[3], row.problems) == ("", ["city is empty"])


def test_a_second_import_changes_nothing(folder: Path, all_airports: ImportCsvParams) -> None:
    first = asyncio.run(import_csv.handle(all_airports, create_job_context()))
    before = rows_of(folder, "airports")
    second = asyncio.run(import_csv.handle(all_airports, create_job_context()))

    assert second == first.model_copy(update={"rows_changed": 0})
    assert rows_of(folder, "airports") == before


def test_28_thousand_rows_take_seconds_not_minutes(all_airports: ImportCsvParams) -> None:
    started = time.process_time()
    asyncio.run(import_csv.handle(all_airports, create_job_context()))

    assert_cpu_seconds(time.process_time() - started, 5)


async def test_progress_follows_the_bytes_and_other_tasks_get_their_turn(all_airports: ImportCsvParams) -> None:
    context = create_job_context()
    seen: list[tuple[int, str | None]] = []
    job = asyncio.ensure_future(import_csv.handle(all_airports, context))
    while not job.done():
        await asyncio.sleep(0)
        seen.append((context.progress, context.progress_message))

    percents = [percent for percent, _ in seen]
    assert percents == sorted(percents)
    assert len(set(percents)) > 20
    assert seen[-1] == (100, "28,298 rows read, 2,827 rejected")


async def test_a_cancelled_import_leaves_whole_batches_and_the_next_one_completes_it(
    folder: Path, all_airports: ImportCsvParams
) -> None:
    context = create_job_context()
    job = asyncio.ensure_future(import_csv.handle(all_airports, context))
    while context.progress < 30:
        await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    imported = len(rows_of(folder, "airports"))
    assert 0 < imported < airports.ROWS / 2
    result = await import_csv.handle(all_airports, create_job_context())
    assert result.rows_changed == result.rows_imported - imported


def test_a_row_whose_key_is_there_already_is_replaced(folder: Path, import_text: Import) -> None:
    import_text("id,name\n1,Ada\n2,Alan\n", {"name": "name"})
    result = import_text("id,name\n2,Alan Turing\n3,Grace\n", {"name": "name"})

    assert rows_of(folder) == [("1", "Ada"), ("2", "Alan Turing"), ("3", "Grace")]
    assert result.rows_changed == 2


def test_a_table_that_is_only_its_key_can_be_imported_twice(folder: Path, import_text: Import) -> None:
    assert import_text("id\n1\n2\n").rows_changed == 2
    assert import_text("id\n1\n2\n").rows_changed == 0
    assert rows_of(folder) == [("1",), ("2",)]


def test_an_empty_value_is_stored_as_null_and_spaces_around_values_are_dropped(
    folder: Path, import_text: Import
) -> None:
    import_text("id,name,size\n 1 ,, \n", {"name": "name"}, {"name": "size", "type": "number"})

    assert rows_of(folder) == [("1", None, None)]


@pytest.mark.parametrize("text", ["1", "-1", "+1", "007", "9223372036854775807"])
def test_whole_numbers_are_stored_as_such(folder: Path, import_text: Import, text: str) -> None:
    import_text(f"id,n\na,{text}\n", {"name": "n", "type": "integer"})

    assert rows_of(folder) == [("a", int(text))]


@pytest.mark.parametrize("text", ["1.5", "1_000", "0x10", "9223372036854775808", "9" * 5000, "٣", "nan", "one"])
def test_an_invalid_whole_number_is_rejected(folder: Path, import_text: Import, text: str) -> None:
    result = import_text(f"id,n\na,{text}\n", {"name": "n", "type": "integer"})

    assert rows_of(folder) == []
    assert result.broken_rules[0].rule == "n is not a whole number of 64 bits"


@pytest.mark.parametrize("text", ["1", "-1.5", ".5", "5.", "1e3", "-1E-3"])
def test_numbers_are_stored_as_such(folder: Path, import_text: Import, text: str) -> None:
    import_text(f"id,n\na,{text}\n", {"name": "n", "type": "number"})

    assert rows_of(folder) == [("a", float(text))]


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e400", "1_000", "1,5", "٣", "."])
def test_an_invalid_number_is_rejected(folder: Path, import_text: Import, text: str) -> None:
    result = import_text(f'id,n\na,"{text}"\n', {"name": "n", "type": "number"})

    assert rows_of(folder) == []
    assert problems_of(result) == [(2, [f"n is not a number: {text!r}"])]


def test_bounds_include_their_ends(folder: Path, import_text: Import) -> None:
    column = {"name": "n", "type": "number", "minimum": -90, "maximum": 90}
    result = import_text("id,n\na,-90\nb,90\nc,-90.5\nd,91\n", column)

    assert [row[0] for row in rows_of(folder)] == ["a", "b"]
    assert problems_of(result) == [(4, ["n is below -90: '-90.5'"]), (5, ["n is above 90: '91'"])]


def test_all_that_is_wrong_with_a_row_is_reported(import_text: Import) -> None:
    result = import_text(
        "id,name,n\n,,x\n",
        {"name": "name", "required": True},
        {"name": "n", "type": "number"},
    )

    assert problems_of(result) == [(2, ["id is empty", "name is empty", "n is not a number: 'x'"])]


def test_a_row_is_reported_at_the_line_it_starts_at(import_text: Import) -> None:
    result = import_text('id,name\n1,"two\nlines"\n\n2,"three\n\nlines"\n,nobody\n', {"name": "name"})

    assert problems_of(result) == [(8, ["id is empty"])]
    assert result.rows_imported == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"2", "row does not have 2 values: it has 1"),
        (b"2,b,c", "row does not have 2 values: it has 3"),
        (b"2,\xff\xfe", "name is not valid UTF-8: '\ufffd\ufffd'"),
        (b"2,a\0b", "name contains a NUL character: 'a\\x00b'"),
        (b'2,"b"c', "row is not valid CSV, ',' expected after '\"'"),
    ],
)
def test_a_damaged_row_spoils_no_other(folder: Path, import_text: Import, row: bytes, problem: str) -> None:
    result = import_text(b"id,name\n1,a\n" + row + b"\n3,c\n", {"name": "name"})

    assert rows_of(folder) == [("1", "a"), ("3", "c")]
    assert problems_of(result) == [(3, [problem])]


def test_a_quote_that_is_never_closed_is_reported_where_it_opens(import_text: Import) -> None:
    result = import_text('id,name\n1,"a\n2,b\n', {"name": "name"})

    assert problems_of(result) == [(2, ["row is not valid CSV, unexpected end of data"])]


def test_every_rejected_row_is_counted_though_few_are_listed(import_text: Import) -> None:
    result = import_text("id\n" + '""\n' * 50, maxReportedRows=3)

    assert (result.rows_rejected, len(result.rejected)) == (50, 3)
    assert [(broken.rule, broken.rows) for broken in result.broken_rules] == [("id is empty", 50)]


def test_a_compressed_file_imports_like_the_plain_one(folder: Path, import_text: Import) -> None:
    plain = import_text("\ufeffid,name\r\n1,Ada\r\n", {"name": "name"})
    (folder / "things.csv.gz").write_bytes(gzip.compress((folder / "things.csv").read_bytes()))
    packed = asyncio.run(
        import_csv.handle(things({"name": "name"}, source="things.csv.gz", table="packed"), create_job_context())
    )

    assert packed == plain.model_copy(update={"table": "packed"})
    assert rows_of(folder, "packed") == rows_of(folder) == [("1", "Ada")]


def test_names_that_mean_something_in_sql_are_only_names(folder: Path, import_text: Import) -> None:
    import_text("id,order\n1,a\n", {"name": "order"}, table="select")

    assert rows_of(folder, "select") == [("1", "a")]


@pytest.mark.parametrize("name", ['t"; DROP TABLE t; --', "a b", "", "1st", "tab\nle", "ü"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="table"):
        things(table=name)


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        ([], {"key": "nr"}, "the key 'nr' is not among the columns: id"),
        ([{"name": "id"}], {}, "imported once only, not several times: id"),
        ([{"name": "size"}], {}, "has no column size; its header has: id, name"),
        ([{"name": "name", "maximum": 3}], {}, "these columns are text: name"),
    ],
)
def test_params_that_do_not_fit_are_refused_before_anything_is_written(
    folder: Path, import_text: Import, columns: list[dict[str, object]], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        import_text("id,name\n1,Ada\n", *columns, **changes)

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        rows_of(folder)


def test_an_empty_file_is_refused(import_text: Import) -> None:
    with pytest.raises(ValueError, match=r"things\.csv has no header"):
        import_text("")


def test_a_file_with_a_header_alone_makes_an_empty_table(folder: Path, import_text: Import) -> None:
    assert import_text("id\n").rows_read == 0
    assert rows_of(folder) == []


def test_nothing_outside_the_import_folder_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secret.csv").write_text("id\n1\n")
    inside = folder / "inside"
    inside.mkdir()
    (inside / "link.csv").symlink_to(folder / "secret.csv")
    monkeypatch.setenv("IMPORT_DIR", str(inside))

    for source in ("../secret.csv", str(folder / "secret.csv"), "link.csv"):
        with pytest.raises(ValueError, match="outside the import folder"):
            asyncio.run(import_csv.handle(things(source=source), create_job_context()))


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file absent\.csv in the import folder"):
        asyncio.run(import_csv.handle(things(source="absent.csv"), create_job_context()))


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=20))
def test_every_text_that_csv_can_express_arrives_in_the_table(pairs: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("id", "a", "b"), *((index, *pair) for index, pair in enumerate(pairs))])
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPORT_DIR", name)
        patch.setenv("EXAMPLE_DATABASE", f"{name}/examples.sqlite3")
        (Path(name) / "things.csv").write_bytes(file.getvalue().encode())
        params = things({"name": "a"}, {"name": "b"})
        asyncio.run(import_csv.handle(params, create_job_context()))
        stored = {int(str(row[0])): row[1:] for row in rows_of(Path(name))}

    assert stored == {index: (a.strip() or None, b.strip() or None) for index, (a, b) in enumerate(pairs)}
