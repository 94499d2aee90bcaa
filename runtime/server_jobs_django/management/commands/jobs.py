"""`python manage.py jobs`: the command line of server-jobs, on Django's database."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Passes its arguments on to the command line."""

    help = "Run a command of server-jobs on Django's database: worker, list, retry, ... `jobs help` lists them all."
    requires_system_checks = ()  # `jobs generate` and `jobs doctor` run in projects that are not complete

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all arguments."""
        parser.add_argument("arguments", nargs=REMAINDER, metavar="command ...")

    def handle(self, *, arguments: list[str], **_options: object) -> None:
        """Run the command. Exits with its status, unless that is 0."""
        try:
            from server_jobs_cli.program import program
        except ModuleNotFoundError as error:
            raise CommandError(f"{error}; run pip install 'server-jobs[django]'") from error
        try:
            program(_without_django_options(arguments) or ["--help"], prog_name="manage.py jobs")
        except SystemExit as ended:
            if ended.code:
                raise


def _without_django_options(arguments: list[str]) -> list[str]:
    """Drop options that `manage.py` has read already."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    rest = parser.parse_known_args(arguments)[1]
    return ["--help"] if rest == ["help"] else rest
