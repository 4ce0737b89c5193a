"""How series are judged: generated windows by how they move, forecasts by what came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from components.metrics.forecasts import forecast_metrics
from components.metrics.series import series_metrics
from components.series_windows import unscaled
from components.yardsticks import Base, Judged

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
        protocol = {"real": len(order), "training": min(len(train["x"]), TRAINING)}
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def of_model(self, model: Any, split: str) -> Judged:
        """See components.yardsticks: the last steps of held-out windows, forecast from the first ones."""
        if not hasattr(model, "forecast"):
            return Judged()
        held = self.data[split]
        steps = max(1, round(self.settings.horizon * self.spec.shape[0]))
        whole = np.flatnonzero(held["length"] == self.spec.shape[0])
        whole = whole[np.lexsort((held["offset"][whole], held["series"][whole]))][:FORECAST]
        if not len(whole):
            return Judged(notes={"crps": f"no window of the {split} split is of full length"})
        x = np.where(held["mask"][whole] > 0, held["x"][whole], np.nan)
        known = x[:, :-steps]
        drawn = model.forecast(known, steps, samples=MEMBERS, seed=self.settings.seed)
        found = forecast_metrics(
            unscaled(x[:, -steps:], self.encoding),
            unscaled(drawn, self.encoding),
            unscaled(known, self.encoding),
            self.settings.season,
            series=held["series"][whole],
            seed=self.settings.seed,
        )
        protocol = {"n": len(whole), "horizon": steps, "members": MEMBERS, "season": self.settings.season}
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def slices_of(self, split: str) -> dict[str, np.ndarray]:
        """See components.yardsticks: the series."""
        number = self.data[split]["series"]
        names = ["unknown", *self.encoding["series"]]
        present = np.unique(number).tolist()
        if len(present) < 2:
            return {}
        return {f"series {names[i]}": np.flatnonzero(number == i) for i in present[:MOST_SLICES]}
