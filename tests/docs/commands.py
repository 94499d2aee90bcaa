"""Checks of commands that a page shows and a test cannot run, because they need an account, a server or root."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePath

import click
from server_jobs_cli.program import Program

from .pages import ROOT

# Their options are not checked. A program that is missing here may be a typo.
_OTHER_PROGRAMS = {
    *("alembic", "apt-get", "arq", "cd", "celery", "createdb", "createuser", "curl", "docker", "export", "git"),
    *("install", "journalctl", "jq", "kubectl", "kubernetes-validate", "npm", "npx", "patronictl", "pg_dropcluster"),
    *("pip", "psql", "python"),
    *("rabbitmqctl", "rm", "rq", "systemctl", "systemd-run", "useradd", "uv"),
}
_PROGRAM = Program()
_ENDS_A_COMMAND = {"|", "||", "&", "&&", ";", ">", "<", "$", "(", ")"}


def check(text: str) -> None:
    """Check the lines of a block of shell: programs, targets of make, commands and options of `server-jobs`."""
    for words in _commands(text):
        name, *arguments = words
        if name == "make":
            assert_target_exists(arguments[0])
        elif ours := [number for number, word in enumerate(words) if PurePath(word).name == "server-jobs"]:
            check_server_jobs([*words[ours[0] + 1 :], *(["ID"] if name == "xargs" else [])])
        else:
            assert PurePath(name).name in _OTHER_PROGRAMS, f"{name} is neither a program that pages use nor ours"


def check_server_jobs(arguments: list[str]) -> dict[str, object]:
    """Parse the arguments as the command would, without running it. Return the values of all options."""
    name, *rest = arguments
    with click.Context(_PROGRAM, info_name="server-jobs") as context:
        command = _PROGRAM.get_command(context, name)
        assert command is not None, f"there is no command {name}"
        try:
            with command.make_context(name, rest, parent=context) as parsed:
                return parsed.params
        except click.ClickException as error:
            raise AssertionError(f"server-jobs {shlex.join(arguments)}: {error.format_message()}") from error


def assert_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command, without variables before it and redirections behind it."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _ENDS_A_COMMAND:
                words.append(word)
                continue
            command = _without_variables(words)
            if command:
                yield command
            words = []


def _without_variables(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) and re.match(r"\w+=", words[start]):
        start += 1
    return words[start:]
