"""Images from records to examples, batches and pictures. (Their sources: tests/components/image_sources.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.errors import ConfigError, DataError
from components.modalities import images
from tests.components.image_records import noise, summaries, table


def encoded(records: pa.Table, **options: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    encoding = images.fit(summaries(records), images.Encode.parse(options), lambda: [])
    return encoding, images.encode(records, encoding)


# -- encode --------------------------------------------------------------------------------------------


def test_labels_are_the_place_in_the_sorted_classes_numbers_by_value() -> None:
    values = np.zeros((4, 2, 2, 1), np.uint8)
    encoding, arrays = encoded(table(*values, label=["10", "9", "2", "9"]))
    assert encoding["classes"] == ["2", "9", "10"]
    assert arrays["label"].tolist() == [2, 1, 0, 1]
    assert arrays["label"].dtype == np.int32
    encoding, _ = encoded(table(*values, label=["10", "9", "²", "b"]))  # a superscript is a digit, no number
    assert encoding["classes"] == ["10", "9", "b", "²"]
    encoding, arrays = encoded(table(*values))
    assert encoding["classes"] == []
    assert set(arrays) == {"x"}


def test_a_class_that_training_lacks_is_named() -> None:
    encoding, _ = encoded(table(noise(2, 2, 1), label=["a"]))
    with pytest.raises(DataError, match="record '1' is of class b"):
        images.encode(table(*noise(2, 2, 2, 1), label=["a", "b"]), encoding)


def test_attributes_are_there_or_not() -> None:
    encoding, _ = encoded(table(*noise(2, 2, 2, 1), attributes=[["smile"], ["hat"]]))
    records = table(*noise(4, 2, 2, 1), attributes=[["smile", "hat"], [], None, ["wig", "smile"]])
    arrays = images.encode(pa.concat_tables([records.slice(0, 1), records.slice(1)]), encoding)
    assert images.spec(encoding).attributes == ("hat", "smile")
    assert arrays["attributes"].tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]
    assert arrays["attributes"].dtype == np.float32


def test_captions_are_characters_of_the_training_split() -> None:
    encoding, arrays = encoded(table(*noise(2, 2, 2, 1), caption=["cab", "a"]))
    assert arrays["caption"].tolist() == [[4, 2, 3], [2, 0, 0]]
    unseen = images.encode(table(noise(2, 2, 1), caption=["zacb"]), encoding)
    assert unseen["caption"].tolist() == [[1, 2, 4]]
    assert (images.spec(encoding).caption, images.spec(encoding).caption_vocabulary) == (3, 5)
    _, arrays = encoded(table(*noise(2, 2, 2, 1), caption=["cab", "a"]), caption_length=2)
    assert arrays["caption"].tolist() == [[4, 2], [2, 0]]


def test_a_pair_is_x_and_y() -> None:
    x, y = noise(3, 2, 2, 1), noise(3, 4, 6, 3, seed=1)
    encoding, arrays = encoded(table(*x, y=list(y)))
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_array_equal(arrays["y"], y)
    assert "independent" not in encoding
    spec = images.spec(encoding)
    assert (spec.shape, spec.condition, spec.paired) == ((2, 2, 1), (4, 6, 3), True)
    given = images.batch(arrays, encoding, np.random.default_rng(0))
    np.testing.assert_array_equal(np.rint(given["y"] * 255), y)


def test_of_two_domains_one_is_x_and_the_other_y() -> None:
    a, b = noise(2, 2, 2, 1), noise(3, 4, 4, 3, seed=1)
    encoding, arrays = encoded(table(b[0], a[0], b[1], b[2], a[1], domain=list("BABBA")))
    np.testing.assert_array_equal(arrays["x"], a)
    np.testing.assert_array_equal(arrays["y"], b)
    assert encoding["independent"] == ["y"]
    spec = images.spec(encoding)
    assert (spec.shape, spec.condition, spec.paired) == ((2, 2, 1), (4, 4, 3), False)
    alone = images.encode(table(a[0], domain=["A"]), encoding)
    assert alone["y"].shape == (0, 4, 4, 3)


# -- batches -------------------------------------------------------------------------------------------


def batch_of(values: np.ndarray, binarise: str) -> tuple[dict[str, Any], np.ndarray]:
    encoding, arrays = encoded(table(*values), binarise=binarise)
    return encoding, images.batch(arrays, encoding, np.random.default_rng(0))["x"]


def test_grey_levels_become_numbers_from_0_to_1() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    encoding, x = batch_of(values, "none")
    assert x.dtype == np.float32
    np.testing.assert_array_equal(np.rint(x * 255), values)
    assert (x.min(), x.max()) == (0, 1)
    assert images.spec(encoding).levels == 256


def test_threshold_is_one_above_the_half() -> None:
    encoding, x = batch_of(np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1), "threshold")
    assert x.ravel().tolist() == [0, 0, 1, 1]
    assert images.spec(encoding).levels == 2


def test_sampled_binarisation_is_one_with_the_grey_s_probability() -> None:
    _, x = batch_of(np.repeat(np.array([0, 51, 255], np.uint8), 4000).reshape(1, 100, 120, 1), "sample")
    x = x.ravel()
    assert set(np.unique(x)) == {0, 1}
    assert x[:4000].max() == 0
    assert x[8000:].min() == 1
    assert abs(x[4000:8000].mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 4000)


# -- augmentation --------------------------------------------------------------------------------------


def augmented(x: np.ndarray, y: np.ndarray | None = None, seed: int = 0, **options: Any) -> dict[str, Any]:
    batch = {"x": x, "label": np.arange(len(x))} | ({} if y is None else {"y": y})
    return images.augment(
        batch, images.Augment.parse(options), {"binarise": "none"}, np.random.default_rng(seed)
    )


def test_nothing_is_changed_unless_asked() -> None:
    x = noise(5, 4, 3, 1).astype(np.float32) / 255
    found = augmented(x)
    np.testing.assert_array_equal(found["x"], x)
    assert found["label"].tolist() == [0, 1, 2, 3, 4]


def test_a_flip_mirrors_about_every_second_image() -> None:
    x = noise(400, 4, 3, 1).astype(np.float32) / 255
    found = augmented(x, flip=True)["x"]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(found, x, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(found, x, strict=True)]
    assert sum(mirrored) + sum(same) == 400
    assert 150 < sum(mirrored) < 250


def test_a_shift_moves_and_repeats_the_border() -> None:
    x = np.arange(5, dtype=np.float32)[None, None, :, None] + np.zeros((300, 6, 1, 2), np.float32)
    found = augmented(x, shift=2)["x"]
    rows = {tuple(image[0, :, 0].astype(int)) for image in found}
    assert rows == {(0, 0, 0, 1, 2), (0, 0, 1, 2, 3), (0, 1, 2, 3, 4), (1, 2, 3, 4, 4), (2, 3, 4, 4, 4)}


def test_brightness_is_added_and_stays_in_the_range() -> None:
    x = np.full((200, 2, 2, 1), 0.9, np.float32)
    found = augmented(x, brightness=0.3)["x"]
    assert found.dtype == np.float32
    assert (found.max(), found.min() >= 0.6 - 1e-6) == (1, True)
    assert (np.ptp(found, axis=(1, 2, 3)) == 0).all()
    assert np.ptp(found) > 0.3


def test_brightness_is_not_for_images_of_0_and_1() -> None:
    batch, options = {"x": np.zeros((1, 2, 2, 1), np.float32)}, images.Augment(brightness=0.1)
    with pytest.raises(ConfigError, match=r"data\.encode\.binarise leaves none"):
        images.augment(batch, options, {"binarise": "sample"}, np.random.default_rng(0))


def test_x_and_y_are_changed_alike() -> None:
    x = noise(50, 4, 6, 1).astype(np.float32) / 255
    wide = x.repeat(2, axis=1).repeat(2, axis=2)  # the same picture, twice as large
    found = augmented(x, wide, flip=True, shift=1)
    np.testing.assert_array_equal(found["y"], found["x"].repeat(2, axis=1).repeat(2, axis=2))


# -- pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_written_as_a_grid_that_shows_them(tmp_path: Path, channels: int) -> None:
    samples = np.random.default_rng(0).random((5, 4, 4, channels)).astype(np.float32)
    out = images.write_samples(samples, {}, tmp_path / "samples.txt")
    assert out == tmp_path / "samples.png"
    shown = np.asarray(Image.open(out))
    assert shown.shape[:2] == (8 * (2 * 5 + 1), 8 * (3 * 5 + 1))  # 2 rows of 3, lines, 8 times larger
    second = shown[8:40:8, 48:80:8].reshape(4, 4, channels)
    np.testing.assert_array_equal(second, np.rint(samples[1] * 255).astype(np.uint8))
    again = images.write_samples(samples, {}, tmp_path / "again.png")
    assert again.read_bytes() == out.read_bytes()
