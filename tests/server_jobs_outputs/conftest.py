"""The caches of the tests of the generator."""

from __future__ import annotations

from tests.generator.conftest import cached_results as cached_results
