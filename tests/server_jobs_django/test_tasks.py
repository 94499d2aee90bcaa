"""`django.tasks` needs Django 6: `tests/installed/test_django_tasks.py` tests it with a Python for that."""

from __future__ import annotations

import sys
from importlib import import_module

import django
import pytest


def test_an_older_django_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django, "VERSION", (5, 2, 0, "final", 0))
    for name in [name for name in sys.modules if name.startswith("server_jobs_django.tasks")]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(ImportError, match=r"needs Django 6\.0 or newer, and this is Django 5\.2"):
        import_module("server_jobs_django.tasks")
