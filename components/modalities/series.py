"""Series: a record is a part of one series on the grid of its frequency; an example is a window of it.

Gaps are NaN in a record and 0 in the mask of an example. By default each series is cut by time, so that
validation and test are its future. Scaling is learnt for each channel from the training split, over all
series together. Sources and layouts: components.series_sources; times: components.time_steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from components.errors import DataError
from components.modalities import Summary
from components.series_features import anomalies, lost_windows, named, rows, summarise
from components.series_records import CONTENT, RECORD, read
from components.series_samples import decode, write_samples
from components.series_sources import SOURCES, Read, files, plan, preflight
from components.series_windows import encode, learnt
from components.settings import Settings
from keras_models.spec import Spec

__all__ = [
    "CONTENT",
    "RECORD",
    "SOURCES",
    "Read",
    "anomalies",
    "decode",
    "encode",
    "files",
    "plan",
    "preflight",
]
__all__ += ["read", "rows", "summarise", "write_samples"]

KIND = "series"
FREE_VALUES = 100_000_000  # of all training windows, however much they overlap
MOST_OVERLAP = 16  # windows that a step lies in, beyond that


class Encode(Settings):
    """How records become examples."""

    length: int = Field(64, ge=1, le=65_536, description="steps of one example; shorter series are padded")
    stride: int | None = Field(
        None, ge=1, le=65_536, description="steps from one example to the next; by default length"
    )
    scale: Literal["none", "standard", "log_standard"] = Field(
        "standard",
        description="standard: each channel less its mean, over its standard deviation; log_standard: the same "
        "of the logarithm, for values above 0; none: as they are",
    )


class Augment(Settings):
    """Changes drawn afresh for each training example, in the units that models see."""

    jitter: float = Field(0.0, ge=0, le=10, description="standard deviation of noise added to each value")
    stretch: float = Field(
        0.0, ge=0, le=1, description="standard deviation of a factor around 1 for each example and channel"
    )


def examples(summary: Summary, encode: Encode) -> int:
    """The least number of windows of a split without context: they cover each record, and those that lie
    in a gap altogether are left out."""
    channels = [one for name, one in summary.features.items() if name == "value" or name[:9] == "value of "]
    steps, stride = channels[0].total, encode.stride or encode.length
    covered = (steps - (encode.length - stride) * summary.records) // stride
    lost = lost_windows(summary.features["gap"], encode.length, stride)
    blank = summary.features["state"].counts.get("empty", 0)
    return max(summary.records - blank, covered) - lost


def fit(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The encoding: the options, and from the training split the scales and the names of its series.

    Raises:
        DataError: a logarithm of what is not above 0, a channel that never changes, windows longer than all
            series or too many of them; see also `learnt`.
    """
    if encode.scale == "log_standard":
        _check_positive(summaries)
    found = learnt(tables(), encode.scale)
    longest, stride = found.pop("longest"), encode.stride or encode.length
    for channel in found["channels"]:
        feature = summaries["train"].features[named("value", channel)]
        if feature.min == feature.max and encode.scale != "none":
            raise DataError(
                f"'{named('value', channel)}' is {feature.min:g} in the whole training split and cannot be scaled: "
                "leave it out (data.read.channels) or set data.encode.scale: none"
            )
    if longest < encode.length:
        raise DataError(
            f"the longest training series has {longest} steps and data.encode.length is {encode.length}: every "
            "example would be padded; set a shorter length"
        )
    values = summaries["train"].features[named("value", found["channels"][0])].total * len(found["channels"])
    if values * encode.length > FREE_VALUES * stride and encode.length > MOST_OVERLAP * stride:
        raise DataError(
            f"windows of {encode.length} steps every {stride} write {values} training values "
            f"{encode.length / stride:.0f} times: set data.encode.stride to "
            f"{-(-encode.length // MOST_OVERLAP)} at least"
        )
    return {"modality": "series", **encode.model_dump(), "stride": stride, **found}


def _check_positive(summaries: dict[str, Summary]) -> None:
    for split, summary in summaries.items():
        for name, feature in summary.features.items():
            if (name == "value" or name.startswith("value of ")) and feature.count and feature.min <= 0:
                raise DataError(
                    f"'{name}' of the {split} split goes down to {feature.min:g}, and data.encode.scale log_standard "
                    "needs values above 0: set it to standard"
                )


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `series`."""
    shape = (encoding["length"], len(encoding["channels"]))
    return Spec(
        kind="series",
        shape=shape,
        covariates=len(encoding["covariates"]["names"]),
        series=len(encoding["series"]),
    )


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The mask as float32; the rest as it is."""
    return {**arrays, "mask": arrays["mask"].astype(np.float32)}


def augment(
    batch: dict[str, np.ndarray], options: Augment, encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Noise and factors; what is missing stays 0."""
    x, mask = batch["x"], batch["mask"]
    if options.stretch:
        shape = (len(x), 1, x.shape[2])
        x = x * (1 + options.stretch * rng.standard_normal(shape, np.float32))
    if options.jitter:
        x = x + options.jitter * rng.standard_normal(x.shape, np.float32)
    return {**batch, "x": (x * mask).astype(np.float32)}
