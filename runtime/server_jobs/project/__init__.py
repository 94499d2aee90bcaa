"""The settings of a project: `[tool.server-jobs]` in pyproject.toml."""

from .cloudflare import CloudflareSettings
from .kubernetes import KubernetesSettings, WorkerGroup
from .project import ALLOWABLE, OUTPUTS, Project, find_project

__all__ = [
    "ALLOWABLE",
    "OUTPUTS",
    "CloudflareSettings",
    "KubernetesSettings",
    "Project",
    "WorkerGroup",
    "find_project",
]
