"""Commands to copy: a shell and the command line take values of rows as values."""

from __future__ import annotations

import shlex
import subprocess

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.inspection.shell_command import shell_command

HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "a; touch owned",
    "a' ; touch owned #",
    "--all",
    "-x",
    "a b",
    "",
    "$HOME",
    "!!",
]


@click.group(name="server-jobs")
def _program() -> None:
    """Take the place of the program."""


@_program.command()
@click.argument("value")
@click.option("--all", "all_of")
def retry(value: str, all_of: str | None) -> None:
    click.echo(f"<{value}>{all_of}", nl=False)


@_program.command(name="list")
@click.option("--batch")
def list_(batch: str | None) -> None:
    click.echo(f"<{batch}>", nl=False)


@given(st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_value_of_a_row_stays_one_value(value: str) -> None:
    for action, printed in (("retry", f"<{value}>None"), ("list --batch", f"<{value}>")):
        words = shlex.split(shell_command(action, value).strip("`").removeprefix("server-jobs "))
        assert CliRunner().invoke(_program, words).output == printed


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shell_runs_nothing_of_a_value(value: str) -> None:
    command = shell_command("retry", value)[1:-1].replace("server-jobs retry", "printf %s", 1).replace(" -- ", " ", 1)
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) in ((value, ""), ("", done.stderr))


def test_a_common_value_is_not_quoted() -> None:
    assert shell_command("resume", "mail") == "`server-jobs resume mail`"
    assert shell_command("schedules pause", "SendEmail", "daily") == "`server-jobs schedules pause SendEmail daily`"
