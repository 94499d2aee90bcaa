"""Links to public names by their public package."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGES = ("server_jobs", "server_jobs.testing", "server_jobs_http", "server_jobs_cloudflare")
"""The packages whose `__all__` is the public API. A name belongs to the first package that exports it."""


@cache
def public_names() -> dict[str, str]:
    """Return the documented name of each public object, by its short name and by the name of its module."""
    found: dict[str, str] = {}
    for package in reversed(PACKAGES):
        module = import_module(package)
        for name in module.__all__:
            documented = f"{package}.{name}"
            value = getattr(module, name)
            found[name] = documented
            found[f"{getattr(value, '__module__', package)}.{name}"] = documented
    return found


def public_name(text: str) -> str | None:
    """Return the documented name for a short one, or None. Methods may follow: `Job.later`."""
    first, dot, rest = text.removesuffix("()").partition(".")
    documented = public_names().get(first)
    return None if documented is None else documented + dot + rest


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Resolve the internal name of a public object, such as `server_jobs.job.Job`."""
    documented = public_names().get(node.get("reftarget", ""))
    if documented is None or node.get("refdomain") != "py" or documented == node["reftarget"]:
        return None
    domain = env.domains.python_domain
    source = node.get("refdoc", env.docname)
    return domain.resolve_xref(env, source, app.builder, "obj", documented, node, content)


def register(app: Sphinx) -> None:
    """Register the resolver."""
    app.connect("missing-reference", _resolve)
