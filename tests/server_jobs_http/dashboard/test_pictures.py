"""The pictures of the dashboard in the documentation. `make pictures` takes them again."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from .example import Situation
from .site import Visitor
from .test_appearance import address

FOLDER = Path(__file__).parents[3] / "docs" / "pictures"
PICTURES = {"overview": "/", "job": "/jobs/{retried}"}
MOST = 0.005
"""How much of its brightness a pixel may differ on average, in pictures of a tenth of the size. Fonts differ a bit."""

DIFFERENCE = """async (pictures) => {
  const [one, other] = await Promise.all(pictures.map(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 128, height: 80 });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, 128, 80);
    return context.getImageData(0, 0, 128, 80).data;
  }));
  return one.reduce((sum, value, place) => sum + Math.abs(value - other[place]), 0) / one.length / 255;
}"""


async def difference(visitor: Visitor, one: bytes, other: bytes) -> float:
    """Return how much two pictures differ, from 0 to 1. The browser compares them."""
    pictures = [b64encode(picture).decode() for picture in (one, other)]
    return float(await visitor.page.evaluate(DIFFERENCE, pictures))


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_of_the_documentation_shows_the_page(here: Situation, visitor: Visitor, name: str) -> None:
    await visitor.page.set_viewport_size({"width": 1280, "height": 800})
    await visitor.comes(address(here, PICTURES[name]))
    taken = await visitor.page.screenshot()
    if "SERVER_JOBS_WRITE_PICTURES" in os.environ:
        (FOLDER / f"dashboard-{name}.png").write_bytes(taken)
        return

    found = {
        other: await difference(visitor, taken, (FOLDER / f"dashboard-{other}.png").read_bytes()) for other in PICTURES
    }

    assert found.pop(name) < MOST, f"the page has changed; look at it, and run `make pictures`: {found}"
    assert min(found.values()) > MOST  # a picture of another page is noticed
