"""Errors of a Kubernetes cluster."""

from __future__ import annotations

from server_jobs.errors import PlaceError


class ClusterError(PlaceError):
    """The API server of the cluster refused a request, or did not answer.

    `is_away`: no API server answered, or one that is starting or overloaded.
    """

    def __init__(self, message: str, *, is_refused: bool = False, is_away: bool = False) -> None:
        super().__init__(message, is_away=is_away)
        self.is_refused = is_refused
        """Whether the same request would be refused again."""
