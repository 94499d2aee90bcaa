"""Run as a program: `generate` in some projects, with an ear on everything that Python tells an audit hook.

The first project only loads what has to be imported: of that, programs and connections are told alone. Prints one JSON
object: the exit statuses, and the events by kind, each with what it was about. Code behind `--and` is run while the
ear is open; a test sees by it that the ear is not deaf.
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
    """Keep what an event is about, as a text."""
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
    """The exit status of the command."""
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
