"""Samples of series in the units of the data, as a CSV and as a picture of lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from components.series_windows import unscaled

PANELS = 8  # the picture holds no more samples
COLUMNS = 4  # and of each no more channels


def decode(samples: np.ndarray, encoding: dict[str, Any]) -> np.ndarray:
    """Samples `[n, length, channels]` → values in the units of the data, float64, NaN where they are NaN."""
    return unscaled(samples, encoding)


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A CSV of sample, step and a column a channel; beside it a picture of the first ones, with the same
    stem. What is not finite is an empty field."""
    out = out if out.suffix.lower() == ".csv" else out.with_suffix(".csv")
    values = decode(samples, encoding)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "step", *encoding["channels"]])
    for number, sample in enumerate(values.tolist(), 1):
        for step, row in enumerate(sample, 1):
            writer.writerow([number, step, *(repr(one) if np.isfinite(one) else "" for one in row)])
    out.write_text(text.getvalue(), "utf-8")
    _save_lines(values[:PANELS], len(values), encoding["channels"], out.with_suffix(".png"))
    return out


def _save_lines(values: np.ndarray, count: int, channels: list[str], out: Path) -> None:
    """A row of panels a sample, a column a channel, each with a scale of its own; the same samples give the
    same picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = max(len(values), 1), min(len(channels), COLUMNS)
    figure = Figure(figsize=(7.0 if columns == 1 else 3.2 * columns, 0.6 + 1.4 * rows), dpi=110)
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, sharex=True, sharey="col", squeeze=False)
    for number, (row, sample) in enumerate(zip(panels, values, strict=False), 1):
        for axes, channel, line in zip(row, channels, sample.T, strict=False):
            axes.plot(np.arange(1, len(line) + 1), line, linewidth=0.9)
            axes.set_title(f"sample {number} of {count}: {channel}", loc="left", fontsize=8)
            axes.grid(linewidth=0.3)
            axes.tick_params(labelsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("step", fontsize=8)
    figure.savefig(out, format="png", metadata={"Software": None})
