"""What an evaluation of forecasters shows: held-out windows as they were forecast, and what the residuals still say.

evaluation/
  forecasts.png    the last steps of held-out windows, the forecast's median, and 80 % and 95 % of its paths
  residuals.png    of training windows: residuals by time, their distribution, autocorrelation, Ljung and Box's test
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.metrics.residuals import autocorrelation, ljung_box
from components.series_windows import unscaled

PANELS = 4  # forecasts in the picture
WINDOWS = 200  # training windows whose residuals are looked at
LAGS = 36  # most lags of autocorrelation
MEMBERS = 500  # of a forecast
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
BANDS = ((0.025, 0.975, "95 %", 0.18), (0.1, 0.9, "80 %", 0.32))  # quantiles, label, opacity


def write_series_pictures(folder: Path, model: Any, data: Any, settings: Any) -> None:
    """Writes the pictures that the model has.

    Args:
        data: components.examples.Examples. settings: of the evaluation.
    """
    if hasattr(model, "forecast"):
        _write_forecasts(folder / "forecasts.png", model, data, settings)
    if hasattr(model, "residuals"):
        train = data.arrays("train", WINDOWS)
        beside = {name: train[name] for name in ("length", "mask", "covariates", "series") if name in train}
        found = np.asarray(model.residuals(train["x"], **asked(model.residuals, beside)))
        write_residuals(folder / "residuals.png", found, data.encoding["channels"], settings.season)


def asked(function: Any, beside: dict[str, Any]) -> dict[str, Any]:
    """Of what lies beside an example, what a model's function takes."""
    import inspect

    taken = inspect.signature(function).parameters
    anything = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    return {name: value for name, value in beside.items() if anything or name in taken}


def _write_forecasts(out: Path, model: Any, data: Any, settings: Any) -> None:
    held, length = data.arrays("test"), data.spec.shape[0]
    steps = max(1, round(settings.horizon * length))
    seen = held["mask"] > 0
    rows = np.flatnonzero(
        (held["length"] == length)
        & (held["context"] <= length - steps)
        & seen[:, :-steps].any(axis=(1, 2))
        & seen[:, -steps:].any(axis=(1, 2))
    )
    rows = rows[np.arange(min(PANELS, len(rows))) * len(rows) // PANELS] if len(rows) > PANELS else rows
    if not len(rows) or steps >= length:
        return
    x = np.where(seen[rows], held["x"][rows], np.nan)
    beside = {name: held[name][rows] for name in ("covariates", "series") if name in held}
    try:
        members = model.forecast(
            x[:, :-steps], steps, samples=MEMBERS, seed=settings.seed, **asked(model.forecast, beside)
        )
    except ValueError:  # the judge has said why, beside the metrics
        return
    names = ["a series training does not have", *data.encoding["series"]]
    write_forecast(
        out,
        list(unscaled(x[:, :-steps], data.encoding)[..., 0]),
        np.quantile(unscaled(np.asarray(members), data.encoding)[..., 0], QUANTILES, axis=0),
        [names[i] for i in held["series"][rows]],
        unscaled(x[:, -steps:], data.encoding)[..., 0],
    )


def write_forecast(
    out: Path,
    histories: Sequence[np.ndarray],
    quantiles: np.ndarray,
    names: Sequence[str],
    truth: np.ndarray | None = None,
) -> None:
    """A panel a series: its history, and the forecast's median and bands.

    Args:
        histories: one `[steps before]` a series. quantiles: `[5, n, steps]` of QUANTILES.
        truth: what came `[n, steps]`.
    """
    figure, panels = _figure(len(histories), 1, 1.9)
    for i, axes in enumerate(panels[:, 0]):
        past, ahead = histories[i], np.arange(1, quantiles.shape[2] + 1)
        past = past[-max(4 * len(ahead), 48) :]
        axes.plot(np.arange(1 - len(past), 1), past, color="#555555", linewidth=0.9)
        for low, high, label, opacity in BANDS:
            edges = (quantiles[QUANTILES.index(edge), i] for edge in (low, high))
            axes.fill_between(ahead, *edges, color="#1f5fa8", alpha=opacity, linewidth=0, label=label)
        axes.plot(ahead, quantiles[2, i], color="#1f5fa8", linewidth=1.2, label="median")
        if truth is not None:
            axes.plot(
                ahead, truth[i], color="black", linewidth=0.9, marker=".", markersize=3, label="what came"
            )
        axes.set_title(names[i], loc="left", fontsize=8)
        axes.legend(loc="upper left", fontsize=6, frameon=False, ncols=2)
    panels[-1, 0].set_xlabel("steps ahead", fontsize=8)
    figure.savefig(out, format="png", metadata={"Software": None})


def write_residuals(out: Path, residuals: np.ndarray, channels: Sequence[str], season: int = 1) -> None:
    """A row of three panels a channel of standardised residuals `[n, steps, channels]`, NaN where there is none."""
    from scipy.stats import norm

    figure, panels = _figure(len(channels), 3, 2.0)
    lags = min(max(2 * season, 12), LAGS)
    for row, channel, own in zip(panels, channels, np.moveaxis(residuals, -1, 0), strict=True):
        flat = own[np.isfinite(own)]
        longest = own[np.isfinite(own).sum(axis=1).argmax()]
        row[0].plot(np.arange(1, len(longest) + 1), longest, color="#1f5fa8", linewidth=0.7)
        row[0].set_title(f"{channel}: standardised residuals", loc="left", fontsize=8)
        if len(flat):
            edges = np.linspace(-4, 4, 33)
            row[1].hist(np.clip(flat, -4, 4), edges, density=True, color="#1f5fa8", alpha=0.4)
            row[1].plot(edges, norm.pdf(edges), color="black", linewidth=0.8)
        row[1].set_title("distribution, and the normal", loc="left", fontsize=8)
        found, pairs = autocorrelation(own, lags)
        place = np.arange(1, len(found) + 1)
        row[2].vlines(place, 0, found, color="#1f5fa8", linewidth=1.5)
        row[2].fill_between(
            place, *(sign / np.sqrt(np.maximum(pairs, 1)) for sign in (-1.96, 1.96)), alpha=0.15
        )
        _, p = ljung_box(own, lags)
        said = f": Ljung–Box p = {p:.2g}" if np.isfinite(p) else ""
        row[2].set_title(f"autocorrelation{said}", loc="left", fontsize=8)
    figure.savefig(out, format="png", metadata={"Software": None})


def _figure(rows: int, columns: int, height: float) -> tuple[Any, np.ndarray]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.5 + height * rows), dpi=110)
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel():
        axes.grid(linewidth=0.3)
        axes.tick_params(labelsize=7)
    return figure, panels
