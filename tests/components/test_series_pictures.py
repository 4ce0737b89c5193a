"""Pictures of forecasts and residuals, and how series go on as a table."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from components.errors import ConfigError, DataError
from components.series_forecasts import HEADER, forecasts, histories, write_forecasts
from components.series_pictures import QUANTILES, write_forecast, write_residuals, write_series_pictures

ENCODING = {
    "channels": ["value"],
    "covariates": {"names": []},
    "log": False,
    "mean": [10.0],
    "std": [2.0],
    "series": ["a.csv/sales"],
}


class Walk:
    """A random walk of steps of one: known mean, known intervals."""

    family = "walk"

    def forecast(self, history, steps, *, samples=100, seed=0, series=None):
        raise AssertionError("the exact forecast is there")

    def forecast_normal(self, history, steps, series=None):
        self.asked = series
        if history.shape[1] < 3:
            raise ValueError("a history of 2 steps is too short: this model needs 3 at least")
        shape = (len(history), steps, 1)
        return np.broadcast_to(history[:, -1:], shape), np.sqrt(np.arange(1, steps + 1))[None, :, None]


class Drawn:
    """The same, by paths."""

    family = "drawn"

    def forecast(self, history, steps, *, samples=100, seed=0):
        steps_ = np.random.default_rng(seed).normal(size=(samples, len(history), steps, 1))
        return history[None, :, -1:] + steps_.cumsum(2)


@pytest.fixture
def months(tmp_path):
    file = tmp_path / "a.csv"
    rows = [f"2020-{1 + i % 12:02d},{10 + i}" for i in range(12)]
    file.write_text("\n".join(["month,sales", *rows]), "utf-8")
    return f"series:{file}"


def test_table_says_mean_and_intervals_in_the_units_of_the_data(months, tmp_path):
    model = Walk()
    found = forecasts(model, histories(months, {}, ENCODING), ENCODING, 3, 0)
    assert model.asked.tolist() == [1]  # by its name it is the series that training has
    table, picture = write_forecasts(found, ENCODING, tmp_path / "out")
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert tuple(rows[0]) == HEADER
    assert [row["time"] for row in rows] == ["2021-01-01", "2021-02-01", "2021-03-01"]
    first = {name: float(rows[0][name]) for name in HEADER[4:]}
    assert first["mean"] == pytest.approx(21)
    assert first["high95"] - 21 == pytest.approx(2 * 1.959964)
    assert 21 - first["low80"] == pytest.approx(2 * 1.281552)
    assert Image.open(picture).width > 500


def test_drawn_paths_say_nearly_the_same(months):
    exact, drawn = (
        forecasts(model, histories(months, {}, ENCODING), ENCODING, 4, 0)[0] for model in (Walk(), Drawn())
    )
    np.testing.assert_allclose(drawn.mean, exact.mean, atol=0.4)
    np.testing.assert_allclose(drawn.quantiles, exact.quantiles, atol=0.8)


def test_logarithms_have_the_mean_of_a_log_normal(months):
    encoding = ENCODING | {"log": True, "mean": [2.0], "std": [0.1]}
    found = forecasts(Walk(), histories(months, {}, encoding), encoding, 1, 0)[0]
    np.testing.assert_allclose(found.quantiles[2], 21)
    np.testing.assert_allclose(found.mean, 21 * np.exp(0.1**2 / 2))


def test_what_cannot_go_on_is_said(months, tmp_path):
    given = histories(months, {}, ENCODING)
    with pytest.raises(ConfigError, match="does not forecast"):
        forecasts(SimpleNamespace(family="mixture"), given, ENCODING, 3, 0)
    with pytest.raises(DataError, match="learnt high, low"):
        histories(months, {}, ENCODING | {"channels": ["high", "low"]})
    with pytest.raises(DataError, match="in advance"):
        histories(months, {}, ENCODING | {"covariates": {"names": ["price"]}})
    short = tmp_path / "short.csv"
    short.write_text("month,sales\n2020-01,1\n2020-02,-2\n", "utf-8")
    with pytest.raises(DataError, match=r"series 'short.csv/sales': a history of 2 steps is too short"):
        forecasts(Walk(), histories(f"series:{short}", {}, ENCODING), ENCODING, 3, 0)
    with pytest.raises(DataError, match="goes down to -2"):
        histories(f"series:{short}", {}, ENCODING | {"log": True})


def test_rows_without_times_are_numbered(tmp_path):
    file = tmp_path / "b.csv"
    file.write_text("y\n1\n2\n3\n4\n", "utf-8")
    found = histories(f"series:{file}", {"frequency": "rows"}, ENCODING)
    assert [found[0].time(step) for step in (0, 4)] == ["1", "5"]


def test_the_same_forecast_is_the_same_picture(tmp_path):
    quantiles = np.sort(np.random.default_rng(0).normal(size=(len(QUANTILES), 2, 5)), axis=0)
    for name in ("one.png", "two.png"):
        write_forecast(tmp_path / name, [np.arange(9.0)] * 2, quantiles, ["a", "b"], np.zeros((2, 5)))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("season", [1, 12])
def test_residuals_with_gaps_and_without_any_are_drawn(tmp_path, season):
    x = np.random.default_rng(0).normal(size=(3, 40, 2))
    x[0, 5:20], x[:, :, 1] = np.nan, np.nan
    write_residuals(tmp_path / "residuals.png", x, ["seen", "never seen"], season)
    assert Image.open(tmp_path / "residuals.png").height > 300


class Held:
    """Examples of one series: six steps of context, and two of the split's own."""

    spec = SimpleNamespace(shape=(8, 1))
    encoding = ENCODING | {"log": False}

    def arrays(self, split, limit=None):
        x = np.random.default_rng(0).normal(size=(6, 8, 1)).astype(np.float32)
        whole = np.full(6, 8, np.int32)
        about = {"length": whole, "context": whole - 2, "series": np.ones(6, np.int32)}
        return {"x": x, "mask": np.ones_like(x), **about}


class Knowing(Drawn):
    """Draws, and has residuals."""

    def residuals(self, x, length=None, mask=None):
        assert mask is not None
        return np.diff(x, axis=1, prepend=np.nan)


@pytest.mark.parametrize(
    ("model", "written"),
    [(Knowing(), {"forecasts.png", "residuals.png"}), (Drawn(), {"forecasts.png"}), (object(), set())],
)
def test_an_evaluation_shows_what_the_model_has(tmp_path, model, written):
    settings = SimpleNamespace(horizon=0.25, seed=0, season=1)
    write_series_pictures(tmp_path, model, Held(), settings)
    assert {file.name for file in tmp_path.iterdir()} == written
