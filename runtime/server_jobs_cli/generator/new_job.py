"""`server-jobs new`: write the spec of a new job, and generate."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from server_jobs.project import Project, find_project

from ..console import django_settings
from ..console.output import say
from . import report
from .generate import folder_option, project_errors
from .write_specs import schema_path, write_and_generate

if TYPE_CHECKING:
    from server_jobs_generator.new_spec import Property

_Value = TypeVar("_Value")

_NEXT = """\
Next:
  write {handler}{schedule}
  {migrate}
  {program} enqueue {name}{params}"""


@click.command()
@click.argument("name")
@click.option(
    "--param",
    "params",
    metavar="NAME[?][:TYPE][=DEFAULT]",
    multiple=True,
    help="A property of the params. With ? or a default it may be left out.",
)
@click.option(
    "--result", "results", metavar="NAME[?][:TYPE]", multiple=True, help="A property of the result. Without any: None."
)
@click.option(
    *("--schedule", "--cron", "cron"),
    metavar="CRON",
    help="Enqueue the job at these times, such as '0 7 * * *', in UTC.",
)
@click.option("--queue", metavar="QUEUE", help="The queue of the job. Default: default.")
@click.option("--description", metavar="TEXT", help="What the job does.")
@click.option("--yaml", "is_yaml", is_flag=True, help="Write YAML instead of JSON.")
@folder_option
def new(
    *,
    name: str,
    params: Sequence[str],
    results: Sequence[str],
    cron: str | None,
    queue: str | None,
    description: str | None,
    is_yaml: bool,
    folder: Path,
) -> None:
    """Write the spec of the job NAME (SendEmail, send_email or send-email), and generate its code and a stub.

    \b
    server-jobs new send_email --param to:email --param 'cc?:email[]' --result messageId:str
    server-jobs new cleanup --param days:int=30 --param 'kind:draft|sent=draft' --schedule '0 3 * * *'

    A type is str, int, float, bool, date, datetime, time, duration, email, uuid or url, a list of them (str[]), or a
    choice of texts (draft|sent). Existing files stay as they are. A spec with a problem is not written.

    Exit status: 0 done, 1 a file or a problem is in the way, 3 the project cannot be used.
    """
    # Late, because `new --help` needs no extra.
    from server_jobs_generator.new_spec import new_spec, read_property
    from server_jobs_generator.spec_text import job_names

    names = _read(job_names, name)
    needed = _properties("--param", params, read_property)
    returned = _properties("--result", results, read_property)
    with project_errors():
        project = find_project(folder)
        _check_free(project, names.spec_name)
        text = new_spec(
            names,
            needed,
            returned,
            schema=schema_path(project),
            description=description,
            queue=queue,
            schedule=cron,
            is_yaml=is_yaml,
        )
        path = f"{project.specs}/{names.spec_name}.{'yaml' if is_yaml else 'json'}"
        plan = write_and_generate(project, {path: text})
    say(f"  created {path}")
    for line in report.change_lines(project, plan, written=True):
        say(line)
    handler = f"{project.handlers}/{names.spec_name}.py"
    required = {one.name: one.example for one in needed if one.is_required}
    given = f" --params {shlex.quote(json.dumps(required))}" if required else ""
    where = f"\n  replace the example params of the schedule in {path}"
    scheduled = where if cron is not None and required else ""
    program, migrate = django_settings.programs(project.root)
    next_steps = {"program": program, "migrate": migrate, "handler": handler, "schedule": scheduled}
    say(_NEXT.format(**next_steps, name=names.class_name, params=given))


def _read(read: Callable[[str], _Value], text: str) -> _Value:
    from server_jobs_generator.spec_text import NewSpecError

    try:
        return read(text)
    except NewSpecError as error:
        raise click.UsageError(str(error)) from error


def _properties(option: str, texts: Sequence[str], read: Callable[[str], Property]) -> list[Property]:
    found: dict[str, Property] = {}
    for text in texts:
        one = _read(read, text)
        if one.name in found:
            raise click.UsageError(f"{option} {one.name} is given twice")
        found[one.name] = one
    return list(found.values())


def _check_free(project: Project, spec_name: str) -> None:
    """Refuse a job whose spec exists, in any form, or whose handler exists."""
    from server_jobs_generator.read.document import ENDINGS

    paths = [*(f"{project.specs}/{spec_name}{ending}" for ending in ENDINGS), f"{project.handlers}/{spec_name}.py"]
    for path in paths:
        if os.path.lexists(project.root / path):
            raise click.ClickException(f"{path} exists already, so nothing was written; choose another name")
