"""The settings of a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs.errors import ProjectError
from server_jobs.project import Project, find_project


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_an_empty_table_gives_the_defaults(tmp_path: Path) -> None:
    assert find_project(write(tmp_path, "[tool.server-jobs]\n")) == Project(
        root=tmp_path,
        specs="specs",
        output="generated",
        handlers="handlers",
        database_url_env=None,
    )


def test_every_setting_is_read(tmp_path: Path) -> None:
    project = find_project(
        write(
            tmp_path,
            """
            [tool.server-jobs]
            specs = "contracts/jobs"
            output = "src/shop/generated"
            handlers = "src/shop/handlers"
            database-url-env = "SHOP_DATABASE"
            setup = "shop.jobs_setup:setup"
            outputs = ["openapi"]
            """,
        )
    )
    assert (project.specs, project.database_url_env) == ("contracts/jobs", "SHOP_DATABASE")
    assert project.outputs == ("openapi",)
    assert project.setup == "shop.jobs_setup:setup"
    assert (project.output_package, project.handlers_package) == ("shop.generated", "shop.handlers")


def test_several_databases_keep_their_order(tmp_path: Path) -> None:
    settings = """
    [tool.server-jobs]
    database-of = "shop.databases:database_of"
    [tool.server-jobs.databases]
    us = "US_DATABASE_URL"
    eu-2 = "EU_DATABASE_URL"
    """
    project = find_project(write(tmp_path, settings))
    assert [*project.databases.items()] == [("us", "US_DATABASE_URL"), ("eu-2", "EU_DATABASE_URL")]
    assert project.database_of == "shop.databases:database_of"


def test_a_project_may_switch_warnings_off(tmp_path: Path) -> None:
    settings = '[tool.server-jobs]\nallow = ["TYPE_MISSING", "EXTRA_NOT_STATED"]\n'
    assert find_project(write(tmp_path, settings)).allow == ("TYPE_MISSING", "EXTRA_NOT_STATED")


def test_the_nearest_project_upwards_is_found(tmp_path: Path) -> None:
    outer = write(tmp_path / "outer", "[tool.server-jobs]\n")
    inner = write(outer / "inner", '[project]\nname = "a worker, not a project"\n')
    assert find_project(inner).root == outer
    assert find_project(write(inner, "[tool.server-jobs]\n")).root == inner


def test_without_a_project_the_message_has_advice(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="server-jobs init"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('spec = "specs"', "has no key 'spec'; did you mean 'specs'?"),
        ('outputs = "openapi"', "outputs must be a list of words such as 'testing', not 'openapi'"),
        ('database_url_env = "X"', "did you mean 'database-url-env'?"),
        (
            "root = '/'",
            "known: specs, output, handlers, database-url-env, databases, database-of, schema, setup, outputs",
        ),
        ("types = 1", "types must be a table such as {decimal = 'decimal:Decimal'}, not 1"),
        ("types.size = 'sizes.Size'", "types.size must name a module and a name in it"),
        ("specs = 1", "specs must be a string, not 1"),
        ('allow = ["TYPE_MISING"]', "allow has no word 'TYPE_MISING'; did you mean 'TYPE_MISSING'?"),
        ('allow = ["x"]', "allow has no word 'x'; known: DEFAULT_DOES_NOT_FIT, EXAMPLE_DOES_NOT_FIT, "),
        ("allow = [1]", "allow must be a list of DEFAULT_DOES_NOT_FIT, EXAMPLE_DOES_NOT_FIT, "),
        ('allow = "TYPE_MISSING"', "VALUE_DOES_NOT_FIT, not 'TYPE_MISSING'"),
        ('specs = "/etc"', "specs must be a folder below the project"),
        ('specs = "../specs"', "specs must be a folder below the project"),
        ('specs = "."', "specs must be a folder below the project"),
        ('specs = ""', "specs must be a folder below the project"),
        ('specs = "specs/"', "specs must be a folder below the project"),
        ("specs = 'a\\b'", "specs must be a folder below the project"),
        ('output = "my-app/generated"', "'my-app' is not a Python identifier"),
        ('handlers = "class/handlers"', "'class' is not a Python identifier"),
        ('output = "specs"', "must not contain each other"),
        ('specs = "generated/specs"', "must not contain each other"),
        ('handlers = "specs/handlers"', "must not contain each other"),
        ('handlers = "generated"', "is a folder the generator writes"),
        ('handlers = "generated/models"', "is a folder the generator writes"),
        ('handlers = "generated/jobs/handlers"', "is a folder the generator writes"),
        ('schema = "Jobs; DROP"', "schema must be a name of 1 to 63 characters of a-z, 0-9 and _"),
        ('schema = "pg_jobs"', "starts with neither a digit nor pg_"),
        ('database-url-env = "A=B"', "must name an environment variable"),
        ("databases = 1", "[tool.server-jobs.databases] must be a table such as {eu = 'EU_DATABASE_URL'}, not 1"),
        ("databases.eu = 1", "must be a table such as {eu = 'EU_DATABASE_URL'}"),
        ("databases = {}", "databases must name at least one database"),
        ('databases.EU = "A"', "a database must have a name of 1 to 63 characters"),
        ('databases.eu = "postgresql://localhost"', "such as EU_DATABASE_URL"),
        ('databases = {eu = "A", us = "A"}', "two databases have the same variable: A"),
        ('database-of = "shop:choose"', "database-of needs the table [tool.server-jobs.databases]"),
        ('databases.eu = "A"\ndatabase-of = "shop"', "database-of must name a module and a name in it"),
        ('databases.eu = "A"\ndatabase-url-env = "B"', "remove one of them"),
        *(
            (f'setup = "{path}"', f"such as 'app.jobs_setup:setup', not '{path}'")
            for path in ("app.setup", "app.setup:", ":setup", "app/jobs.py:setup", "app.class:setup", "app:a.b")
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ProjectError) as failure:
        find_project(write(tmp_path, f"[tool.server-jobs]\n{line}\n"))
    assert message in str(failure.value)


@pytest.mark.parametrize("text", ["[tool.server-jobs", "[tool]\nserver-jobs = 1\n"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError, match=r"pyproject\.toml"):
        find_project(write(tmp_path, text))
