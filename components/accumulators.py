"""What is remembered of a feature however many records there are: mergeable, deterministic, bounded.

`Numeric` (components.numeric) has moments and a histogram, `Categorical` counts by name. Both are made
of a part of the records by `of`, merged by `merge`, and pass through files by `as_json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from components.numeric import Numeric

__all__ = ["Categorical", "Feature", "Numeric", "feature_from_json", "merged"]

CATEGORIES = 1_000_000  # distinct names counted by themselves


@dataclass(frozen=True)
class Categorical:
    """Names of one feature and how often each occurs; beyond a million the rarest are `others`.

    Attributes:
        counts: by name.
        missing: how many were None.
        others: how many had a name that is no longer counted by itself.
    """

    counts: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    others: int = 0

    @classmethod
    def of(cls, values: Any, missing: int = 0) -> Categorical:
        """Strings: an iterable with None where one is missing, an Arrow array with nulls, or a mapping
        of name → count. `missing` more are known to be absent."""
        if isinstance(values, pa.Array | pa.ChunkedArray):
            pairs = values.value_counts()
            names, numbers = pairs.field("values").to_pylist(), pairs.field("counts").to_pylist()
            counts = dict(zip(names, numbers, strict=True))
        else:
            counts = dict(Counter(values))
        missing += counts.pop(None, 0)  # type: ignore[call-overload]
        return cls({name: count for name, count in counts.items() if count}, missing).folded(CATEGORIES)

    def merge(self, other: Categorical) -> Categorical:
        """The statistics of both."""
        counts = dict(self.counts)
        for name, count in other.counts.items():
            counts[name] = counts.get(name, 0) + count
        return Categorical(counts, self.missing + other.missing, self.others + other.others).folded(
            CATEGORIES
        )

    def folded(self, most: int) -> Categorical:
        """At most `most` names, the commonest; the rest are `others`. Ties go to the first by name."""
        if len(self.counts) <= most:
            return self
        ordered = self.ordered()
        rest = sum(count for _, count in ordered[most:])
        return Categorical(dict(ordered[:most]), self.missing, self.others + rest)

    def ordered(self) -> list[tuple[str, int]]:
        """Name and count, the commonest first, ties by name."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))

    @property
    def count(self) -> int:
        """How many had a name."""
        return sum(self.counts.values()) + self.others

    @property
    def total(self) -> int:
        """All that was given, with or without a name."""
        return self.count + self.missing

    @property
    def capped(self) -> bool:
        """Whether rare names are no longer counted by themselves."""
        return self.others > 0

    def share(self, name: str) -> float:
        """The share of `name` among those that have one."""
        return self.counts.get(name, 0) / max(self.count, 1)

    def as_json(self) -> dict[str, Any]:
        """JSON-like, names in order; `from_json` gives the same back."""
        return {
            "kind": "categorical",
            "missing": self.missing,
            "others": self.others,
            "counts": dict(sorted(self.counts.items())),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Categorical:
        """See as_json."""
        return cls(told["counts"], told["missing"], told["others"])


Feature = Numeric | Categorical


def merged(parts: Iterable[dict[str, Feature]]) -> dict[str, Feature]:
    """Feature → statistics of all parts, the names in order. A feature may be absent from some."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, feature in part.items():
            found[name] = found[name].merge(feature) if name in found else feature
    return dict(sorted(found.items()))


def feature_from_json(told: dict[str, Any]) -> Feature:
    """What `as_json` of either kind gave."""
    return (Numeric if told["kind"] == "numeric" else Categorical).from_json(told)
