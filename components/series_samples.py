"""Samples of series in the units of the data, as a CSV and as a picture of lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from components.series_windows import unscaled

PANELS = 8  # the picture holds no more samples
LINES = 8  # and of each no more channels


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
    """A panel a sample; the same samples give the same picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = max(len(values), 1)
    figure = Figure(figsize=(7.0, 0.6 + 1.4 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, sample) in enumerate(zip(panels, values, strict=False), 1):
        for channel, line in zip(channels[:LINES], sample.T, strict=False):
            axes.plot(np.arange(1, len(line) + 1), line, linewidth=0.9, label=channel)
        axes.set_title(f"sample {number} of {count}", loc="left", fontsize=8)
        axes.grid(linewidth=0.3)
        axes.tick_params(labelsize=7)
    if len(channels) > 1 and len(values):
        panels[0].legend(fontsize=6, loc="upper right", ncols=4)
    panels[-1].set_xlabel("step", fontsize=8)
    figure.savefig(out, format="png", metadata={"Software": None})
