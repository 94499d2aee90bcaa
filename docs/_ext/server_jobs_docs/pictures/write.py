"""Write every picture: `python -m server_jobs_docs.pictures.write`."""

from __future__ import annotations

from .directive import DRAWINGS, FOLDER


def write_all() -> None:
    """Write the file of every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    write_all()
