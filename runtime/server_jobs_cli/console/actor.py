"""Who runs a command, for the audit log."""

from __future__ import annotations

import getpass
import os


def actor() -> str:
    """Return `user:NAME` with the name of the operating-system user of this process, or its number.

    Environment variables such as USER, which anybody can set, are read only where there are no user ids.
    """
    if not hasattr(os, "getuid"):
        return f"user:{getpass.getuser()}"
    import pwd

    try:
        return f"user:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user:{os.getuid()}"
