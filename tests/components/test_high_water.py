"""Small losses night after night do not add up: a challenger is held against the best champion so far."""

from __future__ import annotations

from typing import Any

import pytest

from components.gates import decide
from components.high_water import loss, mark_of
from components.settings import GateSettings


def entry(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - 0.2, "high": value + 0.2, "n": 64, **more}


def champion(version: int, value: float, metric: str = "nats", **more: Any) -> dict[str, Any]:
    return {"version": version, "comparable": True, "validation": {metric: entry(value, **more)}}


def test_the_better_of_the_champion_and_its_own_mark_is_kept() -> None:
    first = mark_of(champion(1, 5.0), None, "nats", "split")
    assert first is not None
    assert first["version"] == 1
    assert mark_of(champion(2, 5.1), first, "nats", "split") == first
    better = mark_of(champion(3, 4.9), first, "nats", "split")
    assert better is not None
    assert better["version"] == 3
    assert mark_of(None, first, "nats", "split") is None


@pytest.mark.parametrize(
    ("metric", "split", "more"),
    [("perplexity", "split", {}), ("nats", "another", {}), ("nats", "split", {"features": "other"}), ("nats", "split", {"n": 9})],
)  # fmt: skip
def test_what_was_measured_otherwise_is_no_mark(metric: str, split: str, more: dict[str, Any]) -> None:
    before = mark_of(champion(1, 5.0, features="cafe"), None, "nats", "split")
    found = mark_of(champion(2, 5.1, metric, **{"features": "cafe", **more}), before, metric, split)
    assert found is not None
    assert found["version"] == 2


def test_where_more_is_better_the_sign_turns() -> None:
    assert loss(entry(5.1), entry(5.0), "nats") == pytest.approx(0.1)
    assert loss(entry(0.6), entry(0.5), "recall") == pytest.approx(-0.1)


def judged(value: float, of_champion: float, best: float) -> dict[str, Any]:
    now = champion(2, of_champion)
    apart = {
        "value": value - of_champion,
        "low": value - of_champion - 0.01,
        "high": value - of_champion + 0.01,
    }
    mark = mark_of(now, mark_of(champion(1, best), None, "nats", "s"), "nats", "s")
    measured = {
        "metric": "nats",
        "validation": {"nats": entry(value)},
        "champion": {**now, "difference": apart, "slices": []},
        "best": mark,
    }
    return decide(measured, GateSettings(beat_floors=False, champion_margin=0.0))


def test_each_step_within_the_noise_and_all_together_beyond_it() -> None:
    """The noise (standard error) is 0.1: 5.0 → 5.08 passes, and 5.08 → 5.16 does not, which is 0.16 from 5.0."""
    assert judged(5.08, 5.0, 5.0)["blessed"]
    verdict = judged(5.16, 5.08, 5.0)
    assert not verdict["blessed"]
    (failed,) = [said for said in verdict["reasons"] if said.startswith("failed:")]
    assert failed == (
        "failed: nats is 5.16 (4.96 to 5.36) and 5 for the best champion so far (version 1), where 0.1 for the worse is "
        "tolerated."
    )
