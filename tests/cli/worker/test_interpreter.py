"""A process that only runs jobs tunes its interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import gc, json, sys
from server_jobs_cli.interpreter import set_up_interpreter

class Ring:
    def __init__(self):
        self.ring = self

set_up_interpreter()
frozen, before = gc.get_freeze_count(), gc.get_stats()[0]["collections"]
for _ in range(50_000):
    Ring()
collections = gc.get_stats()[0]["collections"] - before
alive = sum(isinstance(thing, Ring) for thing in gc.get_objects())
print(json.dumps([frozen, collections, alive, sys.getswitchinterval()]))
"""


def test_existing_objects_are_frozen_and_garbage_of_jobs_is_collected() -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    frozen, collections, alive, switch_interval = json.loads(answer.stdout)
    assert frozen > 1_000
    assert 1 <= collections <= 5
    assert alive < 25_000
    assert switch_interval < 0.001
