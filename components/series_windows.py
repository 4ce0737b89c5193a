"""Series cut into windows and scaled. Each window says which series it is of and where it begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from components.accumulators import Numeric
from components.errors import DataError
from components.series_records import Piece, pieces


def starts_of(piece: Piece, length: int, stride: int) -> range:
    """Where windows begin: they cover the record, the last one may be shorter. Windows that hold nothing
    beyond the context are left out."""
    steps = len(piece.values)
    first = max(0, -(-(piece.context - length + 1) // stride)) * stride
    return range(first, max(steps - length + stride, first + 1), stride)


def scaled(values: np.ndarray, mean: np.ndarray, std: np.ndarray, log: bool) -> np.ndarray:
    """float64 `[..., channels]` as models see them: less the mean, over the standard deviation, of the
    logarithm where `log`."""
    return ((np.log(values) if log else values) - mean) / std


def unscaled(x: np.ndarray, encoding: dict[str, Any]) -> np.ndarray:
    """Values `[..., channels]` in the units of the data, float64, from what models see."""
    values = np.asarray(x, np.float64) * np.array(encoding["std"]) + np.array(encoding["mean"])
    return np.exp(values) if encoding["log"] else values


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """Windows of the records:

    * `x` float32 `[n, length, channels]`, scaled; 0 where missing or padded, and there `mask` is 0 (uint8)
    * `length` int32: steps that are not padding; `context` int32: leading steps of the part before
    * `series` int32: which of encoding["series"], from 1; 0 is one that training does not have
    * `offset` int32: the step of the series at which the window begins
    * `covariates` float32 `[n, length, k]`, scaled, 0 where missing or padded
    """
    length, stride, k = encoding["length"], encoding["stride"], len(encoding["covariates"]["names"])
    numbers = {name: number for number, name in enumerate(encoding["series"], 1)}
    found = []
    for piece in pieces(table):
        _check(piece, encoding)
        kept = [s for s in starts_of(piece, length, stride) if not _blank(piece, s, length)]
        found.append((piece, kept))
    count = sum(len(starts) for _, starts in found)
    x = np.zeros((count, length, len(encoding["channels"])), np.float32)
    mask = np.zeros(x.shape, np.uint8)
    covariates = np.zeros((count, length, k), np.float32)
    about = np.zeros((4, count), np.int32)
    mean, std = np.array(encoding["mean"]), np.array(encoding["std"])
    beside = encoding["covariates"]
    row = 0
    for piece, starts in found:
        present = ~np.isnan(piece.values)
        own = np.where(present, scaled(np.where(present, piece.values, 1.0), mean, std, encoding["log"]), 0)
        known = np.nan_to_num((piece.covariates - beside["mean"]) / beside["std"], nan=0.0)
        for start in starts:
            steps = min(length, len(own) - start)
            x[row, :steps] = own[start : start + steps]
            mask[row, :steps] = present[start : start + steps]
            covariates[row, :steps] = known[start : start + steps]
            context = min(max(piece.context - start, 0), steps)
            about[:, row] = steps, context, numbers.get(piece.series, 0), piece.offset + start
            row += 1
    names = ("length", "context", "series", "offset")
    arrays = {"x": x, "mask": mask, **dict(zip(names, about, strict=True))}
    return {**arrays, "covariates": covariates} if k else arrays


def _blank(piece: Piece, start: int, length: int) -> bool:
    """Whether a window has no value beyond the context."""
    return bool(np.isnan(piece.values[max(start, piece.context) : start + length]).all())


def _check(piece: Piece, encoding: dict[str, Any]) -> None:
    told = (piece.channels, piece.covariate_names)
    asked = (tuple(encoding["channels"]), tuple(encoding["covariates"]["names"]))
    if told != asked:
        raise DataError(
            f"series '{piece.series}' has channels {', '.join(told[0])} and the training split "
            f"{', '.join(asked[0])}: name the same data.read.channels and covariates for all"
        )


class Scales:
    """Mean and standard deviation of each column, gathered piece by piece."""

    def __init__(self, columns: int) -> None:
        self.found = [Numeric() for _ in range(columns)]

    def add(self, values: np.ndarray) -> None:
        """Of `[steps, columns]`; NaN is left out."""
        for number, column in enumerate(values.T):
            self.found[number] = self.found[number].merge(Numeric.of(column[~np.isnan(column)]))

    def as_json(self) -> dict[str, list[float]]:
        """A column that never changes is divided by one."""
        spread = [one.std if one.max > one.min else 1.0 for one in self.found]
        return {"mean": [one.mean for one in self.found], "std": spread}


def learnt(tables: Iterable[pa.Table], scale: str) -> dict[str, Any]:
    """From the training records: names of channels, covariates and series, scales, and the longest record.

    Raises:
        DataError: records with other channels than the first one's.
    """
    found: dict[str, Any] = {}
    series: set[str] = set()
    values = beside = Scales(0)
    longest = 0
    for table in tables:
        for piece in pieces(table):
            told = {"channels": list(piece.channels), "covariates": {"names": list(piece.covariate_names)}}
            if not found:
                found = told
                values, beside = Scales(len(piece.channels)), Scales(len(piece.covariate_names))
            if told != found:
                _check(piece, found)
            own = piece.values[piece.context :]
            values.add(np.log(own) if scale == "log_standard" else own)
            beside.add(piece.covariates[piece.context :])
            series.add(piece.series)
            longest = max(longest, len(piece.values))
    plain = {"mean": [0.0] * len(values.found), "std": [1.0] * len(values.found)}
    found |= plain if scale == "none" else values.as_json()
    found["covariates"] = {**found["covariates"], **beside.as_json()}
    return {**found, "series": sorted(series), "longest": longest, "log": scale == "log_standard"}
