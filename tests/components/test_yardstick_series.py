"""The yardstick of series: held-out windows are good, wrong memory, copies and wrong forecasts are found, and
what was not seen does not count."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

from components.examples import Examples
from components.metrics import forecasts
from components.metrics.series import ABOUT
from components.series_windows import unscaled
from components.settings import EvaluateSettings
from components.yardsticks.series import FORECAST, MEMBERS, Yardstick
from tests.components.tiny_examples import examples_of, splits_of

LENGTH, AHEAD = 32, 8
DECAY, LEVEL = 0.9, 20.0
NAMES = ("ash", "birch", "cedar", "elm", "fir", "oak")
OF_ONE_CHANNEL = set(ABOUT) - {"channel_correlation_distance"}


def walk(steps: int, random: np.random.Generator) -> np.ndarray:
    """A first-order autoregression about LEVEL: each step keeps nine tenths of the one before."""
    values = np.zeros(steps)
    for t in range(1, steps):
        values[t] = DECAY * values[t - 1] + random.normal()
    return LEVEL + values


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Six such series of 1,200 steps, a value in fifty missing: windows of 32, a quarter of them ahead."""
    root, random = tmp_path_factory.mktemp("series"), np.random.default_rng(0)
    lines = ["tree,day,height"]
    for name in NAMES:
        for day, value in enumerate(walk(1200, random)):
            said = "" if random.random() < 0.02 else f"{value:.3f}"
            lines.append(f"{name},{np.datetime64('2020-01-01') + day},{said}")
    (root / "trees.csv").write_text("\n".join(lines) + "\n", "utf-8")
    read = {"id": "tree", "validation": 0.25, "test": 0.25, "context": LENGTH - AHEAD}
    return examples_of(f"series:{root / 'trees.csv'}", root, read=read, encode={"length": LENGTH})


@pytest.fixture(scope="module")
def yardstick(made: Examples) -> Yardstick:
    return Yardstick(made, splits_of(made), EvaluateSettings())


def unseen(yardstick: Yardstick) -> np.ndarray:
    """Whole windows of the test split, judged on the validation split; a gap is the value before it."""
    data = yardstick.data["test"]
    x = data["x"][data["length"] == LENGTH].copy()
    seen = data["mask"][data["length"] == LENGTH] > 0
    for t in range(1, LENGTH):
        x[:, t] = np.where(seen[:, t], x[:, t], x[:, t - 1])
    return x


def numbers(yardstick: Yardstick, samples: np.ndarray) -> dict[str, float]:
    return {name: one.value for name, one in yardstick.judge(samples, "validation").metrics.items()}


# -- what samples are worth ----------------------------------------------------------------------------


def test_all_metrics_of_series_are_measured(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick), "validation")
    assert set(found.metrics) == {*ABOUT, "copy_rate", "copy_excess"}
    assert yardstick.main in found.metrics
    assert found.metrics["channel_correlation_distance"].why == "there is one channel"
    for name in OF_ONE_CHANNEL:
        one = found.metrics[name]
        assert one.low <= one.value <= one.high, name
        assert one.extra["real"] == len(yardstick.data["validation"]["x"])
        assert one.extra["training"] == len(yardstick.data["train"]["x"])


def test_held_out_windows_are_good(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick), "validation").metrics
    for name in ("autocorrelation_distance", "spectrum_distance", "marginal_ks"):
        assert found[name].value < 3 * found[name].extra["floor"] + 0.02, name
    assert 0.35 < found["two_sample_accuracy"].value < 0.65
    assert found["classifier_accuracy"].low < 0.55
    assert found["copy_excess"].low < 0.02


def test_training_windows_are_copies(yardstick: Yardstick) -> None:
    train = yardstick.data["train"]
    whole = train["x"][(train["mask"] > 0).all(axis=(1, 2))][:50]
    found = numbers(yardstick, whole)
    assert found["copy_rate"] == 1
    assert found["copy_excess"] > 0.9


def test_values_in_any_order_have_no_memory(yardstick: Yardstick) -> None:
    """Their values are as good as before: only time is wrong."""
    good = unseen(yardstick)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(LENGTH), (len(good), 1)), axis=1)
    found, real = (numbers(yardstick, x) for x in (np.take_along_axis(good, order[..., None], axis=1), good))
    assert found["autocorrelation_distance"] > 5 * real["autocorrelation_distance"]
    assert found["spectrum_distance"] > 3 * real["spectrum_distance"]
    assert found["marginal_ks"] == pytest.approx(real["marginal_ks"], abs=0.02)
    assert found["classifier_accuracy"] > 0.95


def test_time_that_runs_backwards_is_not_told_by_memory(yardstick: Yardstick) -> None:
    """An autoregression of normal noise looks alike in both directions."""
    good = unseen(yardstick)
    found, real = numbers(yardstick, good[:, ::-1]), numbers(yardstick, good)
    assert found["autocorrelation_distance"] == pytest.approx(real["autocorrelation_distance"], abs=0.02)


def test_one_window_again_and_again_is_found(yardstick: Yardstick) -> None:
    good = unseen(yardstick)
    found = numbers(yardstick, np.repeat(good[:1], len(good), axis=0))
    assert found["two_sample_accuracy"] > 0.9
    assert found["classifier_accuracy"] > 0.9
    assert found["marginal_ks"] > 3 * numbers(yardstick, good)["marginal_ks"]


def test_windows_that_do_not_move_are_a_reason_and_no_number(yardstick: Yardstick) -> None:
    found = yardstick.judge(np.zeros((60, LENGTH, 1), np.float32), "validation").metrics
    assert math.isnan(found["autocorrelation_distance"].value)
    assert "do not change" in found["autocorrelation_distance"].why


def test_few_samples_are_a_reason_and_no_number(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick)[:4], "validation").metrics
    assert math.isnan(found["classifier_accuracy"].value)
    assert found["classifier_accuracy"].why


def test_a_value_that_is_not_finite_is_told(yardstick: Yardstick) -> None:
    samples = unseen(yardstick)
    samples[3, 5] = np.inf
    for one in yardstick.judge(samples, "validation").metrics.values():
        assert math.isnan(one.value)
        assert one.why == f"1 of {len(samples)} samples are not finite"


def test_what_was_not_seen_does_not_count(made: Examples, yardstick: Yardstick) -> None:
    """Gaps and the padding of short windows hold 0; any other number there changes nothing."""
    data = splits_of(made)
    for split in data.values():
        assert (split["mask"] == 0).any()
        split["x"] = np.where(split["mask"] > 0, split["x"], 99).astype(np.float32)
    other, samples = Yardstick(made, data, EvaluateSettings()), unseen(yardstick)
    found, known = numbers(other, samples), numbers(yardstick, samples)
    for name in OF_ONE_CHANNEL:
        assert found[name] == known[name], name
    assert told(other, Right()) == told(yardstick, Right())


# -- forecasts -----------------------------------------------------------------------------------------


class Right:
    """Goes on as the process does, from the last value that was seen, in the units of the model."""

    likelihood, family = "none", "right"

    def __init__(self, decay: float = DECAY, spread: float = 1.0) -> None:
        self.decay, self.spread = decay, spread
        self.asked: dict[str, Any] = {}

    def forecast(self, history: np.ndarray, steps: int, *, samples: int = 100, seed: int = 0) -> np.ndarray:
        self.asked = {"history": history, "steps": steps, "samples": samples}
        random, past = np.random.default_rng(seed), np.nan_to_num(history)
        for t in range(1, past.shape[1]):
            past[:, t] = np.where(np.isnan(history[:, t]), past[:, t - 1], history[:, t])
        noise = self.spread * math.sqrt(1 - self.decay**2)  # of a series whose deviation is 1
        now, found = np.repeat(past[None, :, -1], samples, axis=0), []
        for _ in range(steps):
            now = self.decay * now + noise * random.normal(size=now.shape)
            found.append(now)
        return np.stack(found, axis=2)


def told(yardstick: Yardstick, model: Any) -> dict[str, float]:
    return {name: one.value for name, one in yardstick.of_model(model, "validation").metrics.items()}


def test_the_right_forecast_is_calibrated(yardstick: Yardstick) -> None:
    found = yardstick.of_model(Right(), "validation")
    assert found.notes == {}
    assert set(found.metrics) == set(forecasts.ABOUT)
    for level in (50, 80, 95):
        one = found.metrics[f"interval_coverage_{level}"]
        assert one.low - 0.05 < level / 100 < one.high + 0.05
    one = found.metrics["crps"].extra
    assert (one["horizon"], one["members"], one["season"]) == (AHEAD, MEMBERS, 1)
    assert one["n"] == min(FORECAST, int((yardstick.data["validation"]["length"] == LENGTH).sum()))


def test_a_wrong_forecast_is_worse_and_a_sure_one_covers_too_little(yardstick: Yardstick) -> None:
    right = told(yardstick, Right())
    assert told(yardstick, Right(decay=-0.9))["crps"] > 1.2 * right["crps"]
    sure = told(yardstick, Right(spread=0.1))
    assert sure["interval_coverage_95"] < 0.5 < right["interval_coverage_95"]
    assert sure["calibration_error"] > right["calibration_error"] + 0.2


def test_forecasts_are_judged_in_the_units_of_the_data(yardstick: Yardstick) -> None:
    """The model sees scaled values; sMAPE of 0 would have no meaning there."""

    class Zero(Right):
        def forecast(self, history: np.ndarray, steps: int, **options: Any) -> np.ndarray:
            return np.zeros((options["samples"], len(history), steps, 1))

    found = told(yardstick, Zero())
    data = yardstick.data["validation"]
    rows = yardstick._forecastable(data, AHEAD)
    seen = data["mask"][rows, -AHEAD:] > 0
    truth = unscaled(data["x"][rows, -AHEAD:], yardstick.encoding)[seen]
    mean = unscaled(np.zeros((1, 1)), yardstick.encoding).item()
    assert mean == pytest.approx(LEVEL, abs=1)
    assert found["smape"] == pytest.approx(np.mean(200 * np.abs(truth - mean) / (truth + mean)), rel=1e-6)


def test_a_model_sees_the_beginning_and_gaps_as_nan(yardstick: Yardstick) -> None:
    model = Right()
    yardstick.of_model(model, "validation")
    data = yardstick.data["validation"]
    rows = yardstick._forecastable(data, AHEAD)
    history = model.asked["history"]
    np.testing.assert_array_equal(np.isnan(history), data["mask"][rows, :-AHEAD] == 0)
    np.testing.assert_array_equal(np.nan_to_num(history), data["x"][rows, :-AHEAD])


def test_what_is_forecast_is_no_part_of_the_split_before(yardstick: Yardstick) -> None:
    data = yardstick.data["validation"]
    rows = yardstick._forecastable(data, AHEAD)
    assert (data["context"][rows] <= LENGTH - AHEAD).all()
    assert (data["context"][rows] > 0).any()
    later = yardstick._forecastable(data, AHEAD + 1)  # the first windows of each series are half context
    assert len(later) == len(rows) - len(NAMES)


def test_a_model_is_told_the_series_where_it_asks(yardstick: Yardstick) -> None:
    class Asking(Right):
        def forecast(
            self, history: np.ndarray, steps: int, *, samples: int = 1, seed: int = 0, series: Any = None
        ) -> np.ndarray:
            self.told = series
            return super().forecast(history, steps, samples=samples, seed=seed)

    model = Asking()
    assert "series" not in inspect.signature(Right.forecast).parameters
    assert yardstick.of_model(model, "validation").metrics
    assert set(model.told.tolist()) == set(range(1, len(NAMES) + 1))


def test_no_window_long_enough_is_a_note(made: Examples) -> None:
    data = splits_of(made)
    data["validation"]["length"] = np.minimum(data["validation"]["length"], LENGTH - 1)
    found = Yardstick(made, data, EvaluateSettings()).of_model(Right(), "validation")
    assert found.metrics == {}
    assert f"its last {AHEAD} steps" in found.notes["crps"]


def test_a_model_that_cannot_go_on_from_there_is_a_note(yardstick: Yardstick) -> None:
    class Short(Right):
        def forecast(self, history: np.ndarray, steps: int, **options: Any) -> np.ndarray:
            raise ValueError("a history of 24 steps is too short for a season of 365")

    found = yardstick.of_model(Short(), "validation")
    assert found.metrics == {}
    assert found.notes == {"crps": "a history of 24 steps is too short for a season of 365"}


def test_a_model_without_forecasts_is_asked_for_none(yardstick: Yardstick) -> None:
    found = yardstick.of_model(object(), "validation")
    assert (found.metrics, found.notes) == ({}, {})


# -- slices --------------------------------------------------------------------------------------------


def test_each_series_is_a_slice(yardstick: Yardstick, made: Examples) -> None:
    parts = yardstick.slices_of("test")
    assert set(parts) == {f"series {name}" for name in NAMES}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(made.count("test")))
    number = yardstick.data["test"]["series"]
    for place, name in enumerate(NAMES, 1):
        assert (number[parts[f"series {name}"]] == place).all()


def test_a_series_that_training_does_not_have_is_the_unknown_one(made: Examples) -> None:
    data = splits_of(made)
    data["test"]["series"] = np.where(data["test"]["series"] == 2, 0, data["test"]["series"])
    parts = Yardstick(made, data, EvaluateSettings()).slices_of("test")
    assert set(parts) == {"series unknown", *(f"series {name}" for name in NAMES if name != "birch")}


def test_one_series_alone_is_no_slice(made: Examples) -> None:
    data = splits_of(made)
    data["test"]["series"][:] = 1
    assert Yardstick(made, data, EvaluateSettings()).slices_of("test") == {}
