"""How series go on, as a published model says: a table of the mean and of 80 % and 95 % intervals, and a picture."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.errors import ConfigError, DataError
from components.modalities import Rejected
from components.series_pictures import QUANTILES, asked, write_forecast
from components.series_records import RECORD, pieces, read
from components.series_sources import ROWS, Read, plan
from components.series_windows import scaled, unscaled
from components.time_steps import Frequency, Grid, iso

MEMBERS = 2000  # paths drawn, where the model's forecast is no normal distribution
SHOWN = 8  # series in the picture
HEADER = ("series", "channel", "step", "time", "mean", "low80", "high80", "low95", "high95")


@dataclass(frozen=True)
class History:
    """One series to go on from: `values` `[steps, channels]` in the units of the data, NaN where missing."""

    name: str
    values: np.ndarray
    start: str | None
    frequency: str | None

    def time(self, step: int) -> str:
        """ISO text of a step, 0 the first of the history; its number where the data have no times."""
        if self.start is None or self.frequency in (None, ROWS):
            return str(step + 1)
        first = np.array([np.datetime64(self.start, "us").astype(np.int64)])
        grid = Grid.of(first, Frequency.parse(str(self.frequency)))
        return iso(grid.time(int(grid.steps(first)[0][0]) + step))


def histories(source: str, options: dict[str, Any], encoding: dict[str, Any]) -> list[History]:
    """The whole series of a source, read as the model's data were.

    Raises:
        DataError: nothing can be read, other channels than the model's, or covariates, whose future is not known.
    """
    if encoding["covariates"]["names"]:
        raise DataError(
            f"this model was given {', '.join(encoding['covariates']['names'])} beside the series, and a forecast needs "
            "them in advance: call its forecast() with covariates"
        )
    settings = Read.parse({**options, "split": "series", "context": 0})
    found: list[Any] = []
    set_aside: list[Rejected] = []
    for chunk in plan(source, settings):
        for block in read(chunk, settings):
            if isinstance(block, Rejected):
                set_aside.append(block)
                continue
            found += zip(pieces(pa.table(block.columns, schema=pa.schema(RECORD))), block.columns["start"])
    if not found:
        why = f": {set_aside[0].reason}" if set_aside else ""
        raise DataError(f"'{source}' holds no series to go on from{why}")
    return [
        _history(name, list(parts), encoding) for name, parts in groupby(found, key=lambda one: one[0].series)
    ]


def _history(name: str, parts: list[Any], encoding: dict[str, Any]) -> History:
    piece, start = parts[0]
    if list(piece.channels) != encoding["channels"]:
        raise DataError(
            f"series '{name}' has channels {', '.join(piece.channels)} and the model learnt "
            f"{', '.join(encoding['channels'])}"
        )
    values = np.concatenate([one.values for one, _ in parts])
    if encoding["log"] and np.nanmin(values, initial=np.inf) <= 0:
        raise DataError(
            f"series '{name}' goes down to {np.nanmin(values):g}, and the model learnt logarithms: give values above 0"
        )
    return History(name, values, start, piece.frequency)


@dataclass(frozen=True)
class Forecast:
    """`mean` `[steps, channels]` and `quantiles` `[5, steps, channels]` of QUANTILES, in the units of the data."""

    history: History
    mean: np.ndarray
    quantiles: np.ndarray


def forecasts(
    model: Any, given: list[History], encoding: dict[str, Any], steps: int, seed: int
) -> list[Forecast]:
    """Each history's forecast: exact where the model says it as a normal distribution, else from drawn paths.

    Raises:
        ConfigError: the family does not forecast.
        DataError: the model cannot go on from a history, by name.
    """
    if not hasattr(model, "forecast"):
        raise ConfigError(f"family '{model.family}' does not forecast: take one with the task `forecast`")
    numbers = {name: number for number, name in enumerate(encoding["series"], 1)}
    found = []
    for history in given:
        mean, std = np.array(encoding["mean"]), np.array(encoding["std"])
        x = scaled(history.values, mean, std, encoding["log"])[None]
        beside = {"series": np.array([numbers.get(history.name, 0)], np.int32)}
        try:
            found.append(Forecast(history, *_forecast(model, x, steps, beside, encoding, seed)))
        except ValueError as error:
            raise DataError(f"series '{history.name}': {error}") from error
    return found


def _forecast(
    model: Any, x: np.ndarray, steps: int, beside: dict[str, Any], encoding: dict[str, Any], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(model, "forecast_normal"):
        drawn = model.forecast(x, steps, samples=MEMBERS, seed=seed, **asked(model.forecast, beside))
        members = unscaled(np.asarray(drawn)[:, 0], encoding)
        return members.mean(axis=0), np.quantile(members, QUANTILES, axis=0)
    from scipy.stats import norm

    mean, deviation = model.forecast_normal(x, steps, **asked(model.forecast_normal, beside))
    edges = mean + norm.ppf(QUANTILES)[:, None, None] * deviation
    if encoding["log"]:  # the mean of a log-normal is above its median
        mean = mean + np.square(deviation) * np.array(encoding["std"]) / 2
    return unscaled(mean[0], encoding), unscaled(edges, encoding)


def write_forecasts(found: list[Forecast], encoding: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """`forecast.csv`, a row a series, channel and step, and `forecast.png` of the first ones."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for one in found:
        for c, channel in enumerate(encoding["channels"]):
            for step in range(len(one.mean)):
                low95, low80, _, high80, high95 = one.quantiles[:, step, c]
                values = (one.mean[step, c], low80, high80, low95, high95)
                time = one.history.time(len(one.history.values) + step)
                row = [repr(float(value)) if np.isfinite(value) else "" for value in values]
                writer.writerow([one.history.name, channel, step + 1, time, *row])
    table, picture = folder / "forecast.csv", folder / "forecast.png"
    folder.mkdir(parents=True, exist_ok=True)
    table.write_text(text.getvalue(), "utf-8")
    shown = [(one, c) for one in found for c in range(len(encoding["channels"]))][:SHOWN]
    write_forecast(
        picture,
        [one.history.values[:, c] for one, c in shown],
        np.stack([one.quantiles[:, :, c] for one, c in shown], axis=1),
        [
            one.history.name + (f": {encoding['channels'][c]}" if len(encoding["channels"]) > 1 else "")
            for one, c in shown
        ],
    )
    return table, picture
