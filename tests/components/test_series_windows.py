"""Series as examples: windows and their masks, scaling there and back, batches, samples."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.modalities import series
from components.series_records import pieces
from tests.components.series_readings import daily, fitted, read_all, summaries_of, whole


def test_windows_masks_and_where_they_are_from(write: Callable[..., Path]) -> None:
    values: list[Any] = [float(i * i) for i in range(50)]
    values[5] = ""
    tables, _ = read_all(write(daily(values)), context=6)
    encoding = fitted(tables, length=8, stride=4)
    train = series.encode(tables["train"], encoding)
    assert train["x"].shape == (9, 8, 1)
    assert train["offset"].tolist() == list(range(0, 36, 4))
    assert train["length"].tolist() == [8] * 9
    assert train["mask"][0].ravel().tolist() == [1, 1, 1, 1, 1, 0, 1, 1]
    assert train["x"][0, 5, 0] == 0
    assert (train["series"] == 1).all()
    test = series.encode(tables["test"], encoding)  # steps 45 to 49 behind 39 to 44
    assert test["offset"].tolist() == [39, 43]
    assert test["context"].tolist() == [6, 2]
    assert test["length"].tolist() == [8, 7]
    assert test["mask"][1].ravel().tolist() == [1] * 7 + [0]
    np.testing.assert_allclose(
        series.decode(test["x"], encoding)[1, :7, 0], np.arange(43, 50) ** 2, rtol=1e-6
    )


def test_windows_behind_the_context_only(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily(list(range(100)))), context=50)
    test = series.encode(tables["test"], fitted(tables, length=10, stride=10))
    assert test["offset"].tolist() == [90]
    assert test["context"].tolist() == [0]
    assert series.encode(tables["test"], fitted(tables, length=20, stride=1))["context"].tolist() == [
        *range(19, 9, -1)
    ]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=3, max_size=80),
    length=st.integers(1, 9),
    stride=st.integers(1, 9),
)
def test_every_value_is_in_a_window_and_examples_is_never_above(
    values: list[int | None], length: int, stride: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stride = min(stride, length)
    path = tmp_path_factory.mktemp("windows") / "data.csv"
    path.write_text(daily(["" if v is None else v for v in values]))
    tables, _ = read_all(path)
    train = {"train": tables["train"]}
    encoding = {
        **{"length": length, "stride": stride, "channels": ["value"], "series": ["data.csv/value"]},
        **{"mean": [0.0], "std": [1.0], "log": False, "covariates": {"names": [], "mean": [], "std": []}},
    }
    found = series.encode(train["train"], encoding)
    seen = {
        (int(offset) + step): window[step, 0]
        for offset, window, mask in zip(found["offset"], found["x"], found["mask"], strict=True)
        for step in range(length)
        if mask[step, 0]
    }
    (piece,) = pieces(train["train"])
    assert seen == {step: v for step, v in enumerate(piece.values.ravel().tolist()) if v == v}
    least = series.examples(summaries_of(train)["train"], series.Encode(length=length, stride=stride))
    assert least <= len(found["x"])


def test_scaling_is_of_the_training_split_and_exact_to_a_millionth(write: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    a, b = 1e6 + 3 * rng.standard_normal(200), np.exp(rng.standard_normal(200))
    days = np.datetime64("2024-01-01") + np.arange(200)
    text = "date,a,b,c\n" + "".join(
        f"{d},{x!r},{y!r},{i % 7}\n" for i, (d, x, y) in enumerate(zip(days, a.tolist(), b.tolist()))
    )
    tables, _ = read_all(write(text), channels=["a", "b"], covariates=["c"])
    encoding = fitted(tables, length=10)
    assert encoding["mean"] == pytest.approx([a[:160].mean(), b[:160].mean()], rel=1e-12)
    assert encoding["std"] == pytest.approx([a[:160].std(), b[:160].std()], rel=1e-9)
    arrays = series.encode(tables["train"], encoding)
    back = series.decode(arrays["x"], encoding).reshape(160, 2)
    assert np.abs((back - np.stack([a, b], 1)[:160]) / encoding["std"]).max() < 1e-6
    assert arrays["covariates"].shape == (16, 10, 1)
    assert series.spec(encoding).model_dump(include={"kind", "shape", "covariates", "series"}) == {
        "kind": "series",
        "shape": (10, 2),
        "covariates": 1,
        "series": 1,
    }
    plain = fitted(tables, length=10, scale="none")
    np.testing.assert_array_equal(
        series.encode(tables["train"], plain)["x"][0, :, 1], b[:10].astype(np.float32)
    )


@settings(derandomize=True, max_examples=60, deadline=None)
@given(values=st.lists(st.floats(1e-6, 1e6), min_size=40, max_size=40, unique=True), log=st.booleans())
def test_scaling_there_and_back(
    values: list[float], log: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("scaling") / "data.csv"
    path.write_text(daily([repr(value) for value in values]))
    tables, _ = read_all(path)
    encoding = fitted(tables, length=32, scale="log_standard" if log else "standard")
    back = series.decode(series.encode(tables["train"], encoding)["x"], encoding).ravel()
    given_ = np.array(values[:32])
    off = np.log(back) - np.log(given_) if log else back - given_
    assert np.abs(off / encoding["std"]).max() < 1e-6


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([0, *range(1, 40)], {"scale": "log_standard"}, "train split goes down to 0.*set it to standard"),
        ([*range(1, 40), -3], {"scale": "log_standard"}, "test split goes down to -3"),
        ([2] * 40, {}, "'value' is 2 in the whole training split and cannot be scaled"),
        (list(range(40)), {"length": 33}, "the longest training series has 32 steps"),
    ],
)
def test_what_cannot_be_encoded(
    write: Callable[..., Path], values: list[int], options: Any, said: str
) -> None:
    tables, _ = read_all(write(daily(values)))
    with pytest.raises(DataError, match=said):
        fitted(tables, **{"length": 8, **options})


def test_series_of_other_channels_are_refused(write: Callable[..., Path]) -> None:
    one, _ = read_all(write(daily(list(range(20)))))
    other, _ = read_all(write("date,a,b\n2024-01-01,1,2\n2024-01-02,3,4\n"), channels=["a", "b"])
    with pytest.raises(DataError, match="has channels a, b and the training split value"):
        series.encode(other["train"], fitted(one, length=4))


def test_too_many_overlapping_windows_are_refused(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, _ = read_all(write(daily(list(range(100)))))
    assert fitted(tables, length=40, stride=1)["stride"] == 1
    monkeypatch.setattr(series, "FREE_VALUES", 100)
    with pytest.raises(DataError, match=r"write 80 training values 40 times: set data\.encode\.stride to 3"):
        fitted(tables, length=40, stride=1)


def test_batches_and_augmentation(write: Callable[..., Path]) -> None:
    tables, _ = read_all(write(daily([*range(20), "", *range(29)])))
    encoding = fitted(tables, length=8)
    rng = np.random.default_rng(0)
    batch = series.batch(series.encode(tables["train"], encoding), encoding, rng)
    assert batch["mask"].dtype == np.float32
    same = series.augment(batch, series.Augment(), encoding, rng)
    np.testing.assert_array_equal(same["x"], batch["x"])
    moved = series.augment(batch, series.Augment(jitter=0.1, stretch=0.1), encoding, rng)
    assert moved["x"].dtype == np.float32
    changed = moved["x"] != batch["x"]
    assert changed.any()
    assert not changed[batch["mask"] == 0].any()


def test_samples_are_a_table_and_a_picture(write: Callable[..., Path], tmp_path: Path) -> None:
    tables, _ = read_all(write(daily([v + 0.25 for v in range(50)])))
    encoding = fitted(tables, length=10, scale="log_standard")
    x = series.encode(tables["train"], encoding)["x"]
    x[0, 3] = np.nan
    out = series.write_samples(x, encoding, tmp_path / "samples")
    rows = list(csv.DictReader(out.open()))
    assert (len(rows), rows[0].keys()) == (40, {"sample", "step", "value"})
    assert rows[3]["value"] == ""
    assert float(rows[11]["value"]) == pytest.approx(11.25, rel=1e-6)
    picture = (tmp_path / "samples.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    series.write_samples(x, encoding, tmp_path / "again.csv")
    assert (tmp_path / "again.png").read_bytes() == picture
    again, rejected = whole(out, id="sample", columns=["value"], frequency="rows", time="step")
    assert (sorted(again), rejected) == (["1", "2", "3", "4"], [])
