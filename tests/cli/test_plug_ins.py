"""Commands that other packages bring, by the entry points of the group `server_jobs.commands`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.installed_package import install

ROOT = Path(__file__).parents[2]

GREET = '''
import click

@click.command()
@click.option("--name", default="you")
def greet(name):
    """Say hello. Twice, if asked."""
    click.echo(f"hello {name}")
'''


def server_jobs(packages: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command where these packages are installed."""
    command = [sys.executable, "-m", "server_jobs_cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(packages), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def bring(packages: Path, package: str, module: str, **commands: str) -> None:
    values = {name: f"{package}:{attribute}" for name, attribute in commands.items()}
    install(packages, package, module, {"server_jobs.commands": values})


def test_a_package_brings_a_command_that_the_help_lists_and_variables_reach(tmp_path: Path) -> None:
    bring(tmp_path, "greetings", GREET, greet="greet")

    assert server_jobs(tmp_path, "greet", "--name", "ada").stdout == "hello ada\n"
    assert server_jobs(tmp_path, "greet", SERVER_JOBS_NAME="bob").stdout == "hello bob\n"
    listed = server_jobs(tmp_path, "--help").stdout.partition("\nPlug-ins:\n")[2]
    assert [line.split() for line in listed.splitlines() if "greet" in line] == [["greet", "Say", "hello."]]
    assert "did you mean 'greet'?" in server_jobs(tmp_path, "gret").stderr


def test_the_tools_for_agents_are_a_plug_in(tmp_path: Path) -> None:
    assert "  mcp " in server_jobs(tmp_path, "--help").stdout.partition("\nPlug-ins:\n")[2]


def test_a_package_cannot_replace_a_command(tmp_path: Path) -> None:
    bring(tmp_path, "greetings", GREET, list="greet")

    assert "hello" not in server_jobs(tmp_path, "list", "--help").stdout
    assert "Say hello" not in server_jobs(tmp_path, "--help").stdout


def test_a_package_that_cannot_be_imported_hides_no_other_command(tmp_path: Path) -> None:
    bring(tmp_path, "broken", "raise RuntimeError('no\\nluck')", burst="burst")
    bring(tmp_path, "greetings", GREET, greet="greet")

    listed = server_jobs(tmp_path, "--help")
    assert listed.returncode == 0, listed.stderr
    said = (
        "the plug-in 'burst' of broken cannot be imported: RuntimeError: no\\nluck; update the package, or uninstall it"
    )
    assert said in " ".join(listed.stdout.split())
    refused = server_jobs(tmp_path, "burst")
    assert (refused.returncode, "Traceback" in refused.stderr) == (3, False)
    assert "Say hello." in listed.stdout
    assert server_jobs(tmp_path, "list", "--help").returncode == 0


def test_a_value_that_is_no_command_and_two_commands_of_one_name_are_refused(tmp_path: Path) -> None:
    bring(tmp_path, "greetings", GREET + "word = 'greet'", greet="greet", word="word")
    bring(tmp_path, "salutations", GREET, greet="greet")

    refused = server_jobs(tmp_path, "word")
    assert refused.returncode == 3
    assert (
        "the plug-in 'word' of greetings must be a command of click, and greetings:word is of type str"
        in refused.stderr
    )
    doubled = server_jobs(tmp_path, "greet")
    assert doubled.returncode == 3
    assert (
        "greetings and salutations both bring a plug-in 'greet' for server_jobs.commands; uninstall one of them"
        in doubled.stderr
    )


def test_a_check_that_cannot_be_imported_or_fails_is_a_finding_beside_all_others(tmp_path: Path) -> None:
    fails = (
        "from server_jobs_cli.doctor.plug_ins import DoctorCheck\nCHECK = DoctorCheck(check=lambda workspace: [1 / 0])"
    )
    group = "server_jobs.doctor_checks"
    install(tmp_path, "broken", "raise RuntimeError('no luck')", {group: {"burst": "broken:CHECK"}})
    install(tmp_path, "failing", fails, {group: {"zero": "failing:CHECK"}})

    examined = server_jobs(
        tmp_path, "doctor", "--project", str(ROOT), "--database", f"sqlite:///{tmp_path}/none.sqlite3"
    )

    assert "cannot be imported: RuntimeError: no luck" in examined.stdout, examined.stderr
    assert "the check zero of a plug-in failed: division by zero" in examined.stdout
    assert "there is no SQLite database" in examined.stdout
    assert examined.returncode == 1
