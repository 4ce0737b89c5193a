"""Piano rolls as a picture: time to the right in quarter notes, pitch upwards, one panel a score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.scores import Score

SHOWN = 8  # the picture holds no more of them
MARGIN = 2  # semitones around the pitches
GAP = 0.1  # of a note is left white behind it, so that notes struck again are told apart


def save_piano_rolls(scores: Sequence[Score], out: Path) -> None:
    """Writes a PNG of the first scores; the same scores give the same picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = scores[:SHOWN]
    quarters = max([score.length / score.ticks_per_quarter for score in shown], default=1)
    wide = min(max(6.0, quarters / 8), 14.0)
    figure = Figure(figsize=(wide, 0.4 + 1.3 * max(len(shown), 1)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(max(len(shown), 1), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    pitches = [int(pitch) for score in shown for pitch in score.notes["pitch"]] or [60]
    for number, (axes, score) in enumerate(zip(panels, shown, strict=False), 1):
        _draw(axes, score)
        axes.set_title(f"sample {number} of {len(scores)}", loc="left", fontsize=8)
    for axes in panels:
        axes.set_xlim(0, quarters)
        axes.set_ylim(min(pitches) - MARGIN, max(pitches) + MARGIN)
        axes.set_yticks([p for p in range(0, 128, 12) if min(pitches) - MARGIN <= p <= max(pitches) + MARGIN])
        axes.yaxis.set_major_formatter(lambda pitch, _: f"C{int(pitch) // 12 - 1}")
        axes.grid(axis="both", linewidth=0.3)
        axes.tick_params(labelsize=7)
    panels[-1].set_xlabel("quarter notes", fontsize=8)
    figure.savefig(out, format="png", metadata={"Software": None})


def _draw(axes: Any, score: Score) -> None:
    from matplotlib.collections import PolyCollection

    quarter = score.ticks_per_quarter
    bars, colours = [], []  # their edges are drawn: a semitone may be thinner than a pixel
    for note in score.notes:
        left, right = note["onset"] / quarter, (int(note["onset"]) + int(note["duration"])) / quarter
        right -= GAP * (right - left)
        bottom, top = float(note["pitch"]) - 0.45, float(note["pitch"]) + 0.45
        bars.append([(left, bottom), (left, top), (right, top), (right, bottom)])
        colours.append(f"C{int(note['voice']) % 10}")
    axes.add_collection(PolyCollection(bars, facecolors=colours, edgecolors="face", linewidths=0.7))
