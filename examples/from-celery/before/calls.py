"""Calls from the web application of the shop."""

from celery import chord
from tasks import charge, publish_album, resize_image, send_code, send_receipt


def check_out(order: int, cents: int, to: str) -> None:
    """Charge an order, then mail the receipt."""
    (charge.s(order, cents) | send_receipt.s(to)).apply_async()


def upload(title: str, images: list[str]) -> None:
    """Resize all images, then publish the album."""
    chord(resize_image.s(image) for image in images)(publish_album.s(title))


def sign_in(to: str, code: str, *, valid_for: float) -> None:
    """Mail a login code that is valid for some seconds."""
    send_code.apply_async((to, code), expires=valid_for)


if __name__ == "__main__":
    check_out(7, 1999, "ada@example.com")
    check_out(8, 250_000, "bob@example.com")
    upload("Alps", ["hill.jpg", "lake.jpg", "forest.jpg"])
    sign_in("ada@example.com", "123456", valid_for=600)
    sign_in("ada@example.com", "000000", valid_for=0.5)
