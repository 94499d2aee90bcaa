"""`python -m bench.figures.redraw`: draw the stored results again after a change of `picture`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.figures.picture import Picture
from bench.figures.pictures import pictures
from bench.figures.results import Results, SubjectResults

FOLDER = Path(__file__).parents[1]


def redrawn() -> Iterator[Picture]:
    """Yield the pictures of the stored results."""
    stored = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    subjects = {name: SubjectResults(one["about"], one["measures"]) for name, one in stored["subjects"].items()}
    yield from pictures(Results(machine=stored["machine"], options=stored["options"], subjects=subjects))


if __name__ == "__main__":
    for picture in redrawn():
        (FOLDER / picture.file_name).write_text(picture.svg(), encoding="utf-8")
