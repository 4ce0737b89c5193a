"""Schema: what the data must look like. Inferred once, then frozen, and curated by a person.

`mozart schema` writes it as YAML (components.schema_file); a recipe names the file in `data.schema_file`, and gate 1 holds the
data of every run against it. A rule that is not written (`null`, or left out) is not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator

from components.accumulators import Categorical, Numeric
from components.modalities import Anomaly, Summary
from components.settings import Settings

FEW = 100  # distinct categories that a schema lists
TIMES = 5  # and as often each occurs on average at least, or they may be names and not categories
SLACK = 0.1  # of the range, on both sides
RARE = 0.001  # the share below which a category's fellows may be unknown yet
SHOWN = 5
MOST = 1.7e308  # beyond it a number is infinite, which no schema can say

Severity = Literal["error", "warning", "off"]


class FeatureRules(Settings):
    """What one feature must look like, in every split."""

    kind: Literal["numeric", "categorical"] = Field(description="numbers, or names")
    severity: Severity = Field("error", description="what a breach is")
    max_missing: float = Field(1.0, ge=0, le=1, description="most share of values missing or not a number")
    min: float | None = Field(None, description="the least number")
    max: float | None = Field(None, description="the greatest number")
    values: tuple[str, ...] | None = Field(None, description="all names that there may be")
    max_unknown: float = Field(0.0, ge=0, le=1, description="most share of other names")
    in_every_split: bool = Field(False, description="whether every split has each of the values")

    @model_validator(mode="after")
    def _one_kind(self) -> FeatureRules:
        if self.kind == "numeric" and (self.values is not None or self.in_every_split):
            raise ValueError("values and in_every_split are for categorical features")
        if self.kind == "categorical" and (self.min is not None or self.max is not None):
            raise ValueError("min and max are for numeric features")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Schema(Settings):
    """What a data set must look like."""

    modality: str = Field(description="the kind of data")
    records: dict[str, int] = Field({}, description="least number of records, by split")
    new_features: Severity = Field("warning", description="what a feature that is not listed is")
    features: dict[str, FeatureRules] = Field(description="the rules, by feature")


# -- infer and check -----------------------------------------------------------------------------------


def infer(summaries: dict[str, Summary], modality: str) -> Schema:
    """A schema that these data meet, with slack for those to come. Half of the records must be there."""
    names = sorted({name for summary in summaries.values() for name in summary.features})
    return Schema(
        modality=modality,
        records={split: (summary.records + 1) // 2 for split, summary in summaries.items()},
        features={
            name: _rules(
                [s.features[name] for s in summaries.values() if name in s.features], summaries, name
            )
            for name in names
        },
    )


def check(schema: Schema, summaries: dict[str, Summary]) -> list[Anomaly]:
    """Where the data do not meet the schema: one anomaly for a feature, a rule and a split."""
    found = []
    for split, least in schema.records.items():
        there = summaries[split].records if split in summaries else 0
        if there < least:
            found.append(
                Anomaly(
                    "error",
                    "too-few-records",
                    f"the {split} split holds {there:,} records and the schema asks for {least:,} or more",
                )
            )
    for name, rules in schema.features.items():
        if rules.severity != "off":
            found += [
                Anomaly(rules.severity, rule, message) for rule, message in _breaches(name, rules, summaries)
            ]
    present = {name for summary in summaries.values() for name in summary.features}
    if schema.new_features != "off":
        found += [
            Anomaly(
                schema.new_features,
                "new-feature",
                f"feature '{name}' is not in the schema: add it there, or set new_features to off",
            )
            for name in sorted(present - schema.features.keys())
        ]
    return found


def _rules(features: list[Any], summaries: dict[str, Summary], name: str) -> FeatureRules:
    """The rules that the values of one feature, one accumulator a split, suggest."""
    missing = max(_missing(feature) for feature in features)
    tolerated = 0.0 if missing == 0 else min(1.0, round(1.5 * missing + 0.01, 3))
    if isinstance(features[0], Numeric):
        known = [feature for feature in features if feature.count]
        low = min((feature.min for feature in known), default=None)
        high = max((feature.max for feature in known), default=None)
        low, high = (None, None) if low is None or high is None else _with_slack(low, high)
        return FeatureRules(kind="numeric", max_missing=tolerated, min=low, max=high)
    whole = Categorical()
    for feature in features:
        whole = whole.merge(feature)
    if len(whole.counts) > FEW or whole.capped or whole.count < TIMES * len(whole.counts):
        return FeatureRules(kind="categorical", max_missing=tolerated)
    rarest = min((count for count in whole.counts.values()), default=0) / max(whole.count, 1)
    everywhere = len(features) == len(summaries) and all(
        feature.counts.keys() == whole.counts.keys() for feature in features
    )
    return FeatureRules(
        kind="categorical",
        max_missing=tolerated,
        values=tuple(sorted(whole.counts)),
        max_unknown=0.0 if rarest >= RARE else RARE,
        in_every_split=everywhere,
    )


def _breaches(name: str, rules: FeatureRules, summaries: dict[str, Summary]) -> list[tuple[str, str]]:
    """Rule and sentence of all that is wrong with one feature."""
    splits = {split: s.features[name] for split, s in summaries.items() if name in s.features and s.records}
    if not splits:
        return [("feature-gone", f"feature '{name}' of the schema is not in the data")]
    found = []
    for split, feature in splits.items():
        where = f"feature '{name}' of the {split} split"
        if isinstance(feature, Numeric) != (rules.kind == "numeric"):
            kind = "numeric" if isinstance(feature, Numeric) else "categorical"
            return [("other-kind", f"feature '{name}' is {kind} and the schema says {rules.kind}")]
        missing = _missing(feature)
        if missing > rules.max_missing:
            found.append(
                (
                    "missing-values",
                    f"{where}: {missing:.1%} of the values are missing or not a number, and the schema allows "
                    f"{rules.max_missing:.1%} (max_missing)",
                )
            )
        found += _outside(where, rules, feature) if isinstance(feature, Numeric) else ()
        found += _unknown(where, rules, feature) if isinstance(feature, Categorical) else ()
    return found


def _outside(where: str, rules: FeatureRules, feature: Numeric) -> list[tuple[str, str]]:
    low = -math.inf if rules.min is None else rules.min
    high = math.inf if rules.max is None else rules.max
    found = []
    if feature.count and (feature.min < low or feature.max > high):
        found.append(
            (
                "out-of-range",
                f"{where} goes from {feature.min:g} to {feature.max:g}, and the schema allows {low:g} to {high:g}",
            )
        )
    if feature.infinite and (rules.min is not None or rules.max is not None):
        found.append(("out-of-range", f"{where} has {feature.infinite:,} infinite values"))
    return found


def _unknown(where: str, rules: FeatureRules, feature: Categorical) -> list[tuple[str, str]]:
    if rules.values is None:
        return []
    found = []
    unknown = [(value, count) for value, count in feature.ordered() if value not in rules.values]
    share = (sum(count for _, count in unknown) + feature.others) / max(feature.count, 1)
    if share > rules.max_unknown:
        found.append(
            (
                "unknown-value",
                f"{where}: {share:.2%} of the values are not in the schema ({_listed(unknown)}), which allows "
                f"{rules.max_unknown:.2%} (max_unknown): add them to its values, or mend the data",
            )
        )
    absent = [value for value in rules.values if value not in feature.counts]
    if rules.in_every_split and absent:
        named = ", ".join(map(repr, absent[:SHOWN])) + (", ..." if len(absent) > SHOWN else "")
        found.append(("absent-value", f"{where} has no {named}: give more data, or change the split"))
    return found


def _listed(values: list[tuple[str, int]]) -> str:
    told = ", ".join(f"{value!r}: {count:,}" for value, count in values[:SHOWN])
    return told + (f" and {len(values) - SHOWN} more" if len(values) > SHOWN else "")


def _missing(feature: Any) -> float:
    absent = feature.missing + (feature.nan if isinstance(feature, Numeric) else 0)
    return absent / max(feature.total, 1)


def _with_slack(low: float, high: float) -> tuple[float, float]:
    """A wider range, which keeps the sign that all values have, and [0, 1] where they are in it."""
    slack = SLACK * (high - low)
    wider = _outward(low - slack, math.floor), _outward(high + slack, math.ceil)
    if low >= 0:
        return max(wider[0], 0.0), 1.0 if high <= 1 else wider[1]
    return wider[0], min(wider[1], 0.0) if high <= 0 else wider[1]


def _outward(value: float, rounding: Callable[[float], int]) -> float:
    """Four significant digits, rounded away from the data."""
    if not value or not math.isfinite(value):
        return math.copysign(min(abs(value), MOST), value)
    digits = 3 - math.floor(math.log10(abs(value)))
    if abs(digits) > 290:
        return value
    rounded = rounding(value * 10.0**digits) / 10.0**digits
    return min(rounded, value) if rounding is math.floor else max(rounded, value)
