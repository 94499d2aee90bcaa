"""The options of `x-job` that jobs in pods have: the image and the resources of the container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server_jobs.domain.options import JobOptions

_QUANTITIES: Mapping[str, Any] = {
    "type": "object",
    "maxProperties": 20,
    "propertyNames": {
        "title": "the name of a resource: cpu, memory, ephemeral-storage, or a name such as nvidia.com/gpu",
        "maxLength": 317,
        "pattern": "^([a-z0-9.-]{1,253}/)?[a-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$",
    },
    "additionalProperties": {
        "title": 'a text with a quantity such as "500m", "2" or "1.5Gi"',
        "type": "string",
        "pattern": "^([0-9]{1,15}([.][0-9]{1,9})?|[.][0-9]{1,9})([mkMGTPE]|[KMGTPE]i|e[+-]?[0-9]{1,2})?$",
    },
    "title": 'an object such as {"cpu": "500m", "memory": "2Gi"}',
}

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "title": 'the name of a container image such as "ghcr.io/shop/jobs:1.4"',
        "description": "The image of the container. Default: the image of the worker.",
        "type": "string",
        "maxLength": 500,
        "pattern": "^[A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?$",
    },
    "resources": {
        "description": "The CPU, memory and other resources of the container.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "requests": {
                "description": 'Resources that are reserved, such as {"cpu": "500m", "memory": "1Gi"}.',
                **_QUANTITIES,
            },
            "limits": {
                "description": 'The most that the container may use, such as {"memory": "2Gi"}.',
                **_QUANTITIES,
            },
        },
    },
}
"""The JSON Schema of each option, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """The options of one job in pods.

    `image` is None for the image of the worker. `requests` and `limits` are quantities such as `500m` and `2Gi`, by the
    name of the resource.
    """

    image: str | None = None
    requests: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, options: JobOptions) -> PodOptions:
        """Read the options of a job, which fit `SCHEMAS`."""
        stated: Any = options.place_options
        return cls(image=stated.get("image"), **stated.get("resources", {}))
