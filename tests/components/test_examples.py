"""The stream: buckets of lengths, fields of their own order, augmentation."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from components.artifacts import write_json, writing
from components.errors import DataError
from components.examples import Examples
from components.settings import Settings
from keras_models.spec import Spec

COUNT, LENGTH, BATCH = 60, 12, 4


class Augment(Settings):
    add: int = Field(0, description="what is added to every entry of x")


def kind() -> Any:
    module = types.SimpleNamespace(Augment=Augment)
    module.batch = lambda arrays, encoding, rng: dict(arrays)
    module.augment = lambda batch, options, encoding, rng: {**batch, "x": batch["x"] + options.add}
    return module


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes examples whose x is the example's number at each position of its length, and 0 behind."""
    monkeypatch.setattr("components.examples.modalities", lambda: {"numbers": kind()})

    def make(**encoding: Any) -> Examples:
        rng = np.random.default_rng(0)
        lengths = rng.integers(1, LENGTH + 1, COUNT).astype(np.int32)
        x = np.where(np.arange(LENGTH) < lengths[:, None], np.arange(1, COUNT + 1)[:, None], 0)
        fields = {"x": x.astype(np.int32), "length": lengths, "y": np.arange(7, dtype=np.int32)}
        out = tmp_path / f"examples{len(list(tmp_path.iterdir()))}"
        with writing(out, "transform") as (folder, manifest):
            write_json(folder / "encoding.json", {"modality": "numbers", **encoding})
            spec = Spec(kind="tokens", shape=(LENGTH,), vocabulary=COUNT + 1)
            (folder / "spec.json").write_text(spec.model_dump_json(), "utf-8")
            for name, array in fields.items():
                if name != "y" or "independent" in encoding:
                    np.save(folder / f"train-00000.{name}.npy", array)
            manifest["counts"] = {"train": COUNT}
        return Examples(out)

    return make


def epoch_of(examples: Examples, epoch: int = 0, batch: int = BATCH) -> list[dict[str, np.ndarray]]:
    steps = examples.steps_per_epoch(batch)
    return list(examples.stream(batch, 0, epoch * steps, (epoch + 1) * steps).as_numpy_iterator())


def test_a_batch_of_a_bucket_is_as_long_as_the_bucket(examples: Any) -> None:
    data = examples(buckets=[3, 6, 12])
    batches = epoch_of(data)
    lengths = np.asarray(data.fields("train")["length"][0])
    per_bucket = np.bincount(np.searchsorted([3, 6, 12], lengths))
    assert len(batches) == sum(per_bucket // BATCH) == data.steps_per_epoch(BATCH)
    for batch in batches:
        width = batch["x"].shape[1]
        assert width in (3, 6, 12)
        lower = {3: 0, 6: 3, 12: 6}[width]
        assert (batch["length"] > lower).all()
        assert (batch["length"] <= width).all()
        assert ((batch["x"] > 0).sum(1) == batch["length"]).all(), "nothing but padding is cut off"
    shown = [int(row[0]) for batch in batches for row in batch["x"]]
    assert len(shown) == len(set(shown))
    widths = [batch["x"].shape[1] for batch in batches]
    assert widths != sorted(widths), "buckets come in a random order"
    assert widths != [batch["x"].shape[1] for batch in epoch_of(data, epoch=1)] or shown != [
        int(row[0]) for batch in epoch_of(data, epoch=1) for row in batch["x"]
    ]


def test_the_stream_of_buckets_goes_on_at_any_step(examples: Any) -> None:
    data = examples(buckets=[3, 6, 12])
    whole = epoch_of(data) + epoch_of(data, epoch=1)
    for first in (1, len(whole) // 2, len(whole) - 1):
        rest = list(data.stream(BATCH, 0, first, len(whole)).as_numpy_iterator())
        assert len(rest) == len(whole) - first
        assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(rest, whole[first:], strict=True))


def test_no_bucket_with_a_whole_batch_is_an_error(examples: Any) -> None:
    with pytest.raises(DataError, match="in any of its 3 buckets of lengths"):
        examples(buckets=[3, 6, 12]).steps_per_epoch(COUNT)


def test_an_independent_field_has_an_order_of_its_own(examples: Any) -> None:
    """So does an unpaired second image: every y is shown with every x sooner or later."""
    data = examples(independent=["y"])
    pairs = {
        (int(x[0]), int(y))
        for epoch in range(30)
        for batch in epoch_of(data, epoch)
        for x, y in zip(batch["x"], batch["y"], strict=True)
    }
    assert len(pairs) > 0.9 * COUNT * 7
    first = np.concatenate([batch["y"] for batch in epoch_of(data)])
    assert set(np.bincount(first, minlength=7)) <= {COUNT // 7, COUNT // 7 + 1}
    assert data.arrays("train")["y"].tolist() == [i % 7 for i in range(COUNT)]


def test_only_the_training_stream_is_augmented(examples: Any) -> None:
    plain, augmented = examples(), examples(augment={"add": 1000})
    for a, b in zip(epoch_of(plain), epoch_of(augmented), strict=True):
        np.testing.assert_array_equal(a["x"] + 1000, b["x"])
    np.testing.assert_array_equal(plain.arrays("train")["x"], augmented.arrays("train")["x"])
