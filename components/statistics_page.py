"""The page of the data: every feature of every split as a picture and as numbers. One HTML file.

It stands beside `statistics.json` and alone: no script, nothing from the network, less than 1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.accumulators import Categorical, Feature, Numeric
from components.modalities import Summary
from components.pages import number, template, visible
from components.statistics_records import shown_records

PAGE, TEMPLATE = "statistics.html", "statistics.html.j2"
MOST_FEATURES = 100
MOST_NAMES = 12
BINS = 48
WIDTH, HEIGHT = 320, 84  # of a histogram, in the units of its drawing
QUANTILES = (0.05, 0.5, 0.95)
NUMBERS = ("values", "missing", "NaN, ∞", "min", "5 %", "median", "95 %", "max", "mean", "std")
NAMES = ("values", "missing", "distinct")


def write_page(page: Path, found: dict[str, Any], summaries: dict[str, Summary], shard: Path | None) -> None:
    """Writes the file `page` about what `statistics.json` holds; `shard` is a file of training records,
    of which the first are shown."""
    names = sorted({name for summary in summaries.values() for name in summary.features})
    html = template(TEMPLATE).render(
        modality=found["modality"],
        fingerprint=found["data_fingerprint"],
        counts=found["counts"],
        rejected=found["rejected"],
        duplicates=found["duplicates"],
        splits={split: summary.records for split, summary in summaries.items()},
        features=[_view(name, _by_split(name, summaries)) for name in names[:MOST_FEATURES]],
        left_out=len(names[MOST_FEATURES:]),
        shown=shown_records(shard) if shard else {},
    )
    page.write_text(html, "utf-8")


def _by_split(name: str, summaries: dict[str, Summary]) -> dict[str, Feature]:
    return {split: s.features[name] for split, s in summaries.items() if name in s.features}


def _view(name: str, by_split: dict[str, Feature]) -> dict[str, Any]:
    """What the template shows of one feature."""
    numbers = {split: one for split, one in by_split.items() if isinstance(one, Numeric)}
    names = {split: one for split, one in by_split.items() if isinstance(one, Categorical)}
    view = {"name": name.replace("_", " "), "plot": "", "low": "", "high": "", "note": "", "bars": []}
    if numbers:
        return {**view, **_histogram(list(numbers.items())), "rows": _rows(numbers), "heads": NUMBERS}
    return {**view, **_bars(names), "heads": NAMES}


# -- numbers -------------------------------------------------------------------------------------------


def _rows(numbers: dict[str, Numeric]) -> list[tuple[str, list[str]]]:
    """Split and its numbers, as NUMBERS say."""
    rows = []
    for split, one in numbers.items():
        odd = one.nan + one.infinite
        cells: list[Any] = [one.count, one.missing, odd]
        if one.count:
            quantiles = [one.quantile(q) for q in QUANTILES]
            cells += [one.min, *quantiles, one.max, one.mean, one.std]
        else:
            cells += [None] * 7
        rows.append((split, [number(cell) for cell in cells]))
    return rows


def _histogram(numbers: Sequence[tuple[str, Numeric]]) -> dict[str, Any]:
    """The distributions of all splits over each other: training filled, the others as lines."""
    from markupsafe import Markup

    known = [(split, one) for split, one in numbers if one.count]
    if not known:
        return {}
    low, high = min(one.min for _, one in known), max(one.max for _, one in known)
    if low == high:
        return {"note": f"always {number(low)}"}
    inner = (
        min(one.quantile(0.001) for _, one in known),
        max(one.quantile(0.999) for _, one in known),
    )
    note = ""
    if 3 * (inner[1] - inner[0]) < high - low and inner[0] < inner[1]:
        (low, high), note = inner, "without the outermost 0.1 % on either side"
    bins, start, stop = _bins(low, high, [one for _, one in known])
    shares = {split: np.sqrt(one.histogram(bins, start, stop)[0] / one.count) for split, one in known}
    tallest = max(float(share.max()) for share in shares.values()) or 1.0
    paths = [
        f'<path class="{split}" d="{_steps(share / tallest, closed=split == "train")}"/>'
        for split, share in shares.items()
    ]
    drawing = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="distribution by split">{"".join(paths)}</svg>'
    )
    return {"plot": Markup(drawing), "low": number(low), "high": number(high), "note": note}


def _bins(low: float, high: float, numbers: list[Numeric]) -> tuple[int, float, float]:
    """Number of bins and their range: one for each whole number, where there are few."""
    if all(one.whole for one in numbers) and high - low < 2 * BINS:
        return round(high - low) + 1, low - 0.5, high + 0.5
    return BINS, low, high


def _steps(heights: np.ndarray, *, closed: bool) -> str:
    """A path over bins of equal width; `heights` in [0, 1]."""
    width = WIDTH / len(heights)
    tops = [f"{HEIGHT - 1 - float(height) * (HEIGHT - 4):.1f}" for height in heights]
    steps = "".join(f"V{top}H{(i + 1) * width:.1f}" for i, top in enumerate(tops))
    return f"M0 {HEIGHT - 1}{steps}V{HEIGHT - 1}" + ("Z" if closed else "")


# -- names ---------------------------------------------------------------------------------------------


def _bars(names: dict[str, Categorical]) -> dict[str, Any]:
    """The commonest names with their share in each split, in percent and as bars."""
    whole = Categorical()
    for one in names.values():
        whole = whole.merge(one)
    shown = whole.ordered()[:MOST_NAMES]
    if len(whole.counts) <= MOST_NAMES and all(name.isdecimal() for name in whole.counts):
        shown.sort(key=lambda pair: int(pair[0]))
    widest = max((one.share(name) for one in names.values() for name, _ in shown), default=0.0) or 1.0
    bars = [
        {
            "name": _short(name),
            "count": number(count),
            "splits": [
                (split, round(100 * one.share(name) / widest, 2), f"{100 * one.share(name):.2f} %")
                for split, one in names.items()
            ],
        }
        for name, count in shown
    ]
    rest = whole.ordered()[MOST_NAMES:]
    others = sum(count for _, count in rest) + whole.others
    note = f"and {number(len(rest))} more, {number(others)} times" if others else ""
    rows = [
        (split, [number(one.count), number(one.missing), number(len(one.counts))])
        for split, one in names.items()
    ]
    return {"bars": bars, "note": note, "rows": rows}


def _short(name: str) -> str:
    shown = visible(name)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"
