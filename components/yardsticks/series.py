"""How series are judged: generated windows by how they move, forecasts by what came."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np

from components.metrics.forecasts import forecast_metrics
from components.metrics.series import series_metrics
from components.series_windows import unscaled
from components.yardsticks import Base, Judged
from components.yardsticks.protocols import measured_on

TRAINING = 5_000  # most training windows that copies are looked for among
MEMBERS = 100  # of a forecast
FORECAST = 200  # most held-out windows that are forecast
MOST_SLICES = 50


class Yardstick(Base):
    """See components.yardsticks."""

    main = "autocorrelation_distance"

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        train, held = self.data["train"], self.data[split]
        order = np.lexsort((held["offset"], held["series"]))  # in order of time
        found = series_metrics(
            samples,
            held["x"][order],
            train["x"][:TRAINING],
            held["mask"][order],
            training_mask=train["mask"][:TRAINING],
            series=held["series"][order],
            seed=self.settings.seed,
        )
        training = min(len(train["x"]), TRAINING)
        return Judged(measured_on(found, real=len(order), training=training))

    def of_model(self, model: Any, split: str) -> Judged:
        """See components.yardsticks: the last steps of held-out windows, forecast from the first ones."""
        if not hasattr(model, "forecast"):
            return Judged()
        held = self.data[split]
        steps = max(1, round(self.settings.horizon * self.spec.shape[0]))
        rows = self._forecastable(held, steps)
        if not len(rows):
            why = f"no window of the {split} split is whole and seen on both sides of its last {steps} steps"
            return Judged(notes={"crps": why})
        x = np.where(held["mask"][rows] > 0, held["x"][rows], np.nan)
        known = x[:, :-steps]
        names = [name for name in ("covariates", "series") if name in held]
        beside = {str(name): held[name][rows] for name in names}
        try:
            drawn = _forecast(model, known, steps, beside, self.settings.seed)
        except ValueError as error:  # too short a history for this model, say
            return Judged(notes={"crps": str(error)})
        found = forecast_metrics(
            unscaled(x[:, -steps:], self.encoding),
            unscaled(drawn, self.encoding),
            unscaled(known, self.encoding),
            self.settings.season,
            series=held["series"][rows],
            seed=self.settings.seed,
        )
        protocol = {"n": len(rows), "horizon": steps, "members": MEMBERS, "season": self.settings.season}
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def _forecastable(self, held: dict[str, np.ndarray], steps: int) -> np.ndarray:
        """Rows of whole windows, series by series in order of time, evenly over them all. Their last steps
        are this split's own, not the part before it that leads in, and something is seen on both sides."""
        length = self.spec.shape[0]
        seen = held["mask"] > 0
        kept = (held["length"] == length) & (held["context"] <= length - steps)
        kept &= seen[:, :-steps].any(axis=(1, 2)) & seen[:, -steps:].any(axis=(1, 2))
        rows = np.flatnonzero(kept)
        rows = rows[np.lexsort((held["offset"][rows], held["series"][rows]))]
        return rows if len(rows) <= FORECAST else rows[np.arange(FORECAST) * len(rows) // FORECAST]

    def slices_of(self, split: str) -> dict[str, np.ndarray]:
        """See components.yardsticks: the series."""
        number = self.data[split]["series"]
        names = ["unknown", *self.encoding["series"]]
        present = np.unique(number).tolist()
        if len(present) < 2:
            return {}
        return {f"series {names[i]}": np.flatnonzero(number == i) for i in present[:MOST_SLICES]}


def _forecast(
    model: Any, known: np.ndarray, steps: int, beside: dict[str, np.ndarray], seed: int
) -> np.ndarray:
    """Members `[MEMBERS, n, steps, c]`; of `beside` the model is given what it asks for."""
    taken = inspect.signature(model.forecast).parameters
    anything = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    options = {name: rows for name, rows in beside.items() if anything or name in taken}
    return np.asarray(model.forecast(known, steps, samples=MEMBERS, seed=seed, **options))
