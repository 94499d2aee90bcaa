"""The addresses of the tenants of a Worker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_TENANTS = re.compile(r"(?P<all>https?://[^/]+/_jobs/tenants)(?:/(?P<name>[^/?]+))?/?(?:\?.*)?")


@dataclass(frozen=True, slots=True)
class TenantAddress:
    """The address of all tenants of a Worker, and the name of the tenant that a URL adds to it, if any."""

    all: str
    name: str | None


def tenant_address(url: str) -> TenantAddress | None:
    """Return the parts of a URL that ends with `/_jobs/tenants` or `/_jobs/tenants/NAME`; None for any other."""
    found = _TENANTS.fullmatch(url)
    return None if found is None else TenantAddress(found["all"], found["name"] and unquote(found["name"]))
