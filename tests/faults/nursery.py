"""A process that forks programs on request, after importing all of them: `python -m tests.faults.nursery`.

A storm starts hundreds of processes, and importing takes most of the time of each. One line on stdin is one request:
`start PROGRAM PLAN` answers with the pid, `wait PID SECONDS` with the exit code or `running`. At the end of stdin,
every started process is killed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback

from tests.faults import programs


def serve() -> None:
    """Answer requests until stdin ends."""
    names = [module.name for module in pkgutil.iter_modules(programs.__path__)]
    modules = {name: importlib.import_module(f"{programs.__name__}.{name}") for name in names}
    codes: dict[int, int | None] = {}
    for line in sys.stdin:
        command, *rest = line.rstrip("\n").split(" ", 2)
        if command == "start":
            pid = os.fork()
            if pid == 0:
                run(modules[rest[0]].main, rest[1])
            codes[pid] = None
            answer = str(pid)
        else:
            answer = wait(codes, int(rest[0]), float(rest[1]))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid, code in codes.items():
        if code is None:
            os.kill(pid, signal.SIGKILL)


def run(main: object, plan: str) -> None:
    """Run the program in this process."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        assert callable(main)
        main(plan)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  a program of its own prints its trace and ends
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def wait(codes: dict[int, int | None], pid: int, seconds: float) -> str:
    """Return the exit code of the process, negative for a signal, or `running` after that many seconds."""
    deadline = time.monotonic() + seconds
    while (code := codes[pid]) is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            codes[pid] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() >= deadline:
            return "running"
        else:
            time.sleep(0.002)
    return str(code)


if __name__ == "__main__":
    serve()
