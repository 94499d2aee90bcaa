"""The dashboard over real HTTP, with templates and files from the upload."""

from __future__ import annotations

import re
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode, urlsplit

from server_jobs import JobStatus
from server_jobs_cloudflare import CloudflareWorkerBackend

from tests.worker.chores.jobs import Shout
from tests.worker.project import TOKEN
from tests.worker.workerd import Workerd

PLACE = "/_jobs/dashboard"


class Visitor:
    """A browser without scripts. It follows no redirects."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._cookie = ""

    def gets(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page."""
        answer, text = self._send("GET", path, {}, None)
        return answer.status, text

    def posts(self, path: str, **form: str) -> tuple[int, str]:
        """Send a form. Return the status and the address of the next page."""
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": self._address.geturl().rstrip("/")}
        answer, _ = self._send("POST", path, headers, urlencode(form))
        self._cookie = (answer.getheader("set-cookie") or self._cookie).partition(";")[0]
        return answer.status, (answer.getheader("location") or "").removeprefix(PLACE)

    def _send(self, method: str, path: str, headers: dict[str, str], body: str | None) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection(self._address.netloc, timeout=60)
        try:
            connection.request(method, f"{PLACE}{path}", body, {**headers, "cookie": self._cookie})
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()


async def test_somebody_signs_in_reads_and_cancels_a_job(worker: Workerd, backend: CloudflareWorkerBackend) -> None:
    job = await Shout.using(backend).later({"text": "hello"})
    visitor = Visitor(worker.url)

    assert visitor.gets("/")[0] == 303
    assert visitor.posts("/sign-in", token="wrong")[0] == 401
    assert visitor.posts("/sign-in", token=TOKEN) == (303, "/")
    status, overview = visitor.gets("/")
    assert (status, "<h1>Overview</h1>" in overview, "default" in overview) == (200, True, True)
    status, page = visitor.gets(f"/jobs/{job}")
    assert (status, "Shout" in page, "hello" in page) == (200, True, True)

    csrf = re.search(r'name="csrf" value="(\w+)"', page)
    assert csrf
    assert visitor.posts(f"/jobs/{job}/cancel", csrf="forged")[0] == 403
    assert await job.status() is JobStatus.PENDING
    assert visitor.posts(f"/jobs/{job}/cancel", csrf=csrf[1]) == (303, f"/jobs/{job}?note=cancelled")
    assert await job.status() is JobStatus.CANCELLED


def test_the_files_of_style_and_script_are_uploaded(worker: Workerd) -> None:
    visitor = Visitor(worker.url)

    for name, content in (("style.css", ":root"), ("script.js", '"use strict"'), ("icon.svg", "<svg")):
        status, text = visitor.gets(f"/static/{name}")
        assert (status, content in text) == (200, True)
