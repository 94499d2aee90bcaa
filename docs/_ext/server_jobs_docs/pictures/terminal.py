"""The picture of a terminal session: real commands in a new project, with ids, times and paths replaced."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

REFUSED = """server-jobs enqueue Hello --params '{"nam": "Ada"}'"""
"""The command with invalid params. Its exit status is 1; the others exit with 0."""
COMMANDS = (
    "server-jobs init mailer",
    "cd mailer",
    "server-jobs migrate",
    REFUSED,
    """server-jobs enqueue Hello --params '{"name": "Ada"}'""",
    "server-jobs worker --until-empty",
    "server-jobs list",
)
_WIDTH = 112
_REPLACED = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "01a2258d-37d5-7000-8747-039ceacb1fc8"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-01 09:00:00"),
    (r"\d+s ago", "1s ago"),
    (r"\b\d+(\.\d+)?m?s\b(?! ago)", "12ms"),
    (r"(server_jobs_\d+)_[0-9a-f]{8}", r"\1_87ece863"),
)

# Rich's template loads a font from another site. This one does not.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img">
<title>A terminal session</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def session() -> list[tuple[str, str]]:
    """Run the commands in a new folder. Return each with its output, colours included."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        done: list[tuple[str, str]] = []
        for command in COMMANDS:
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
                done.append((command, ""))
                continue
            done.append((command, _replaced(_run(command, folder), name)))
        return done


def _run(command: str, folder: Path) -> str:
    """Return the output of a command. Raises `RuntimeError` for an unexpected exit status."""
    hidden = ("SERVER_JOBS", "TURSO", "JOBS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    path = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    finished = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment | {"PATH": path, "FORCE_COLOR": "1", "COLUMNS": str(_WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != (command == REFUSED):
        raise RuntimeError(f"{command} ended with {finished.returncode}:\n{finished.stdout}")
    return finished.stdout


def _replaced(text: str, folder: str) -> str:
    text = text.replace(str(Path(folder).resolve()), "~").replace(folder, "~")
    for pattern, instead in _REPLACED:
        text = re.sub(pattern, instead, text)
    return text


def draw() -> str:
    """Return the SVG."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, output in session():
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        if output:
            console.print(Text.from_ansi(output.rstrip("\n")))
    return console.export_svg(title="server-jobs", code_format=_FORMAT, unique_id="terminal")
