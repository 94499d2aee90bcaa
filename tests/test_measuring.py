"""Limits of time in other tests are wider on a slow machine, and only there."""

from __future__ import annotations

import pytest

from tests import measuring
from tests.measuring import assert_cpu_seconds, assert_seconds


@pytest.mark.parametrize("slowness", [0.5, 1, 4])
def test_a_limit_grows_with_the_cost_of_known_work(slowness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_known_work", lambda _: measuring._USUAL * slowness)
    allowed = 2.0 * max(1, slowness)

    assert_cpu_seconds(allowed * 0.99, 2.0)
    assert_seconds(allowed * 0.99, 2.0)
    with pytest.raises(AssertionError, match=r"s on a machine [14]\.0 times as slow as usual"):
        assert_seconds(allowed * 1.01, 2.0)
    with pytest.raises(AssertionError, match=r"s of CPU for a page on a machine [14]\.0 times as slow as usual"):
        assert_cpu_seconds(allowed * 1.01, 2.0, " for a page")
