"""Calls from the web application of the shop."""

from datetime import timedelta

from generated.jobs import Charge, PublishAlbum, ResizeImage, SendCode
from generated.registry import registry
from server_jobs import set_database

set_database(registry)


def check_out(order: int, cents: int, to: str) -> None:
    """Charge an order. The handler then enqueues the receipt."""
    Charge.later_sync({"order": order, "cents": cents, "to": to})


def upload(title: str, images: list[str]) -> None:
    """Resize all images, then publish the album."""
    ResizeImage.later_many_sync(
        [{"image": image} for image in images],
        then=PublishAlbum.new_job({"title": title}),
    )


def sign_in(to: str, code: str, *, valid_for: float) -> None:
    """Mail a login code that is valid for some seconds."""
    SendCode.later_sync({"to": to, "code": code}, expires_after=timedelta(seconds=valid_for))


if __name__ == "__main__":
    check_out(7, 1999, "ada@example.com")
    check_out(8, 250_000, "bob@example.com")
    upload("Alps", ["hill.jpg", "lake.jpg", "forest.jpg"])
    sign_in("ada@example.com", "123456", valid_for=600)
    sign_in("ada@example.com", "000000", valid_for=0.5)
