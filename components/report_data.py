"""What a run's data are, for its page: records by split, and the features of the training split."""

from __future__ import annotations

from typing import Any

from components.accumulators import Feature, Numeric
from components.pages import number, visible

UNITS = {"class": "records", "value": "values", "character": "times"}
FIRST = ("class", "value", "character")  # features that a chart shows before others
MOST_CHARTS = 6


def data_shown(statistics: dict[str, Any]) -> dict[str, Any]:
    """Records by split, and the features of the training split: charts of some, facts where all agree."""
    from markupsafe import Markup

    from components.charts import MOST_COLUMNS, columns
    from components.statistics import summaries_of

    summaries = summaries_of(statistics)
    features = summaries["train"].features
    charts: list[Any] = []
    facts: list[tuple[str, str]] = []
    for name in sorted(features, key=lambda name: ([*FIRST, name].index(name), name)):
        counts = _counts(features[name])
        shown = name.replace("_", " ")
        if len(counts) == 1:
            facts += [(shown, value) for value in counts]
        elif counts and len(charts) < MOST_CHARTS:
            numeric = isinstance(features[name], Numeric)
            title = f"{shown} of the training split"
            drawn = columns(title, counts, UNITS.get(name, "times"), log=numeric and name == "value")
            charts.append(Markup(drawn))
        if len(counts) > MOST_COLUMNS:
            facts.append((f"distinct {shown}", number(len(counts))))
    return {
        "splits": {name: summary.records for name, summary in summaries.items()},
        "charts": charts,
        "facts": facts,
    }


def _counts(feature: Feature) -> dict[str, int]:
    """Name → count: a histogram in 16 columns, whole numbers in their order, else the commonest first."""
    if isinstance(feature, Numeric):
        if feature.min == feature.max:
            return {number(feature.min): feature.count} if feature.count else {}
        top = feature.max + 1 if feature.whole else feature.max  # 0 to 255 is sixteen times sixteen values
        counts, edges = feature.histogram(16, feature.min, top)
        places = [number(edge) for edge in edges[:-1]]
        places = places if len(set(places)) == len(places) else [f"{edge:.6g}" for edge in edges[:-1]]
        return dict(zip(places, counts.tolist(), strict=True))
    ordered = feature.ordered()
    if all(name.isdecimal() for name, _ in ordered):
        ordered.sort(key=lambda pair: int(pair[0]))
    return {visible(name): count for name, count in ordered}
