"""An index of small wheels on the loopback, and a lock of some of them."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a package, with the lines `Requires-Dist` and `Provides-Extra` of its metadata."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    def wheel(self) -> bytes:
        information = f"{self.name}-{self.version}.dist-info"
        metadata = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.version}",
            *(f"Provides-Extra: {extra}" for extra in self.extras),
            *(f"Requires-Dist: {one}" for one in self.requires),
            "",
        ]
        files = {
            f"{self.name}.py": f"VERSION = {self.version!r}\n",
            f"{information}/METADATA": "\n".join(metadata),
            f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},{_record_hash(text)},{len(text.encode())}\n" for path, text in files.items())
        files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n"
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for path, text in files.items():
                archive.writestr(zipfile.ZipInfo(path), text)
        return target.getvalue()


def _record_hash(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256={digest.rstrip('=')}"


def lock_of(releases: Sequence[Release]) -> str:
    """Return the lock of these releases, with hashes."""
    lines = (f"{one.name}=={one.version} --hash=sha256:{hashlib.sha256(one.wheel()).hexdigest()}" for one in releases)
    return "\n".join([*lines, ""])


@contextmanager
def small_index(releases: Sequence[Release]) -> Iterator[Mapping[str, str]]:
    """Serve these releases, and yield the variables with which pip and uv ask nothing else."""
    pages = {f"/files/{one.file_name}": one.wheel() for one in releases}
    for name in {one.name for one in releases}:
        links = (f'<a href="/files/{one.file_name}">{one.file_name}</a>' for one in releases if one.name == name)
        pages[f"/simple/{name}/"] = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the standard library
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": url,
            "PIP_FIND_LINKS": "",
            "PIP_EXTRA_INDEX_URL": "",
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
    finally:
        server.shutdown()
        server.server_close()
