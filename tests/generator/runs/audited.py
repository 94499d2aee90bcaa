"""A program that runs `generate` in some projects, and records Python's audit events.

The first project only loads the imports: of that run only programs and connections are recorded. Prints one JSON
object: the exit statuses, and the events by kind, each with its subject. Code after `--and` runs while events are
recorded, so that a test can check the recording.
"""

from __future__ import annotations

import json
import os
import sys
from types import CodeType

_ALWAYS = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile")
_HEARD = (*_ALWAYS, "open", "exec", "compile", "os.", "shutil.", "urllib.", "ctypes.", "ftplib.", "smtplib.", "import")
_LISTS = ("os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv")

events: list[tuple[str, str]] = []
heard: tuple[str, ...] = _ALWAYS


def listen(event: str, arguments: tuple[object, ...]) -> None:
    """Record the subject of an event."""
    if not event.startswith(heard) or event in _LISTS:
        return
    match event, arguments:
        case "exec", (CodeType() as code, *_):
            events.append(("exec", code.co_filename))
        case "compile", (source, file_name):
            text = source.decode("utf-8", "replace") if isinstance(source, bytes) else str(source or "")
            events.append(("compile", f"{file_name}\0{text}"))
        case "open", (path, _, flags):
            is_write = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
            name = path.decode() if isinstance(path, bytes) else str(path)
            events.append(("write" if is_write else "read", name))
        case "import", (name, *_):
            events.append(("import", str(name)))
        case _:
            events.append((event, ", ".join(map(str, arguments[:2]))))


def run(project: str) -> int:
    """Run the command, and return its exit status."""
    from server_jobs_cli.program import program

    try:
        program.main(["generate", "--project", project, "--json"])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1


if __name__ == "__main__":
    sys.addaudithook(listen)
    projects, _, code = " ".join(sys.argv[1:]).partition(" --and ")
    first, *others = projects.split()
    compiled = compile(code, "--and", "exec")
    statuses = [run(first)]
    heard = _HEARD
    statuses += [run(project) for project in others]
    exec(compiled)
    heard = ()
    print()
    print(json.dumps({"statuses": statuses, "events": events}))
