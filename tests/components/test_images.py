"""Images from records to examples, batches and pictures. (Where they come from: tests/components/image_sources.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.errors import ConfigError, DataError
from components.image_arrays import block, by_size, images_of
from components.modalities import Summary, images

SCHEMA = pa.schema([pa.field("key", pa.string()), *images.RECORD])


def table(*values: np.ndarray, **columns: list[Any]) -> pa.Table:
    """Records of images that may differ in size, with what else is said of them."""
    rows = [
        {"key": str(i), "pixels": image.tobytes(), **dict(zip(SCHEMA.names[2:5], image.shape, strict=True))}
        for i, image in enumerate(values)
    ]
    for name, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            if name == "y" and value is not None:
                sides = dict(zip(("height_y", "width_y", "channels_y"), value.shape, strict=True))
                row |= {"pixels_y": value.tobytes(), **sides}
            elif name != "y":
                row[name] = value
    return pa.Table.from_pylist(rows, SCHEMA)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def summaries(train: pa.Table, **others: pa.Table) -> dict[str, Summary]:
    splits = {"train": train, "validation": train, "test": train, **others}
    return {name: Summary(split.num_rows, images.summarise(split)) for name, split in splits.items()}


def encoded(records: pa.Table, **options: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    encoding = images.fit(summaries(records), images.Encode.parse(options), lambda: [])
    return encoding, images.encode(records, encoding)


# -- between Arrow and NumPy ---------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [slice(0, 9), slice(2, 7), slice(4, 4)])
def test_slices_and_chunks_of_a_table_give_their_own_images(rows: slice) -> None:
    values = noise(9, 3, 2, 1)
    made = block([str(i) for i in range(9)], values, None, None, images.Read())
    whole = pa.table([made.columns[name] for name in SCHEMA.names[1:]], pa.schema(images.RECORD))
    cut = whole.slice(rows.start, rows.stop - rows.start)
    np.testing.assert_array_equal(images_of(cut, (3, 2, 1)), values[rows])
    pieces = pa.concat_tables([whole.slice(0, 4), whole.slice(7, 2), whole.slice(4, 3)])
    np.testing.assert_array_equal(images_of(pieces, (3, 2, 1)), values[[0, 1, 2, 3, 7, 8, 4, 5, 6]])
    strided = block(["a", "b", "c"], values[::3, :, ::-1], None, None, images.Read()).columns["pixels"]
    assert strided.to_pylist() == [image.tobytes() for image in values[::3, :, ::-1]]


def test_images_of_several_sizes_are_grouped_and_nulls_left_out() -> None:
    small, large = noise(3, 2, 2, 1), noise(2, 4, 1, 3)
    records = table(small[0], large[0], small[1], small[2], large[1], y=[None, small[0], None, None, None])
    (batch,) = records.to_batches()
    groups = {images.shape[1:]: (rows.tolist(), images) for rows, images in by_size(batch)}
    assert groups.keys() == {(2, 2, 1), (4, 1, 3)}
    for shape, rows, expected in (((2, 2, 1), [0, 2, 3], small), ((4, 1, 3), [1, 4], large)):
        assert groups[shape][0] == rows
        np.testing.assert_array_equal(groups[shape][1], expected)
    ((rows, found),) = by_size(batch, "_y")
    assert rows.tolist() == [1]
    np.testing.assert_array_equal(found, small[:1])
    with pytest.raises(ValueError, match="an image of 4x1x3"):
        images_of(records, (2, 2, 1))


# -- statistics ----------------------------------------------------------------------------------------


def test_features_are_those_of_each_image_computed_one_by_one() -> None:
    grey, colour = list(noise(4, 5, 7, 1)), list(noise(3, 6, 3, 3, seed=1))
    grey[2] = np.full((5, 7, 1), 9, np.uint8)
    both = [*grey, *colour]
    found = images.summarise(table(*both, label=["a", "b", None, "a", None, None, "c"]))
    assert found["size"].counts == {"5x7x1": 4, "6x3x3": 3}
    assert found["class"].counts == {"a": 2, "b": 1, "c": 1}
    assert found["class"].missing == 3
    assert found["constant"].counts == {"yes": 1, "no": 6}
    levels = np.bincount(np.concatenate([image.ravel() for image in both]), minlength=256)
    assert found["value"].places.tolist() == np.flatnonzero(levels).tolist()
    assert found["value"].counts.tolist() == levels[levels > 0].tolist()
    for name, values in {
        "brightness": [image.mean() for image in both],
        "contrast": [image.std() for image in both],
        "aspect": [7 / 5] * 4 + [1 / 2] * 3,
        "green": [image[..., 1].mean() for image in colour],
    }.items():
        assert found[name].count == len(values)
        assert found[name].mean == pytest.approx(np.mean(values), rel=1e-5), name
        assert found[name].min == pytest.approx(np.min(values), rel=1e-5, abs=1e-9), name


def test_features_do_not_depend_on_how_records_are_cut() -> None:
    values = noise(700, 11, 13, 1)
    whole = table(*values)
    shuffled = pa.concat_tables([whole.slice(300, 400), whole.slice(0, 37), whole.slice(37, 263)])
    assert images.summarise(whole)["contrast"].places.tolist() == (
        images.summarise(shuffled)["contrast"].places.tolist()
    )


def test_what_is_said_of_images_is_counted() -> None:
    records = table(
        *noise(3, 2, 2, 1),
        attributes=[["hat", "smile"], [], None],
        caption=["aba", None, "ç"],
        domain=["A", "B", "B"],
    )
    found = images.summarise(records)
    assert found["attribute"].counts == {"hat": 1, "smile": 1}
    assert found["attribute"].missing == 1
    assert found["caption_length"].max == 3
    assert found["caption_length"].missing == 1
    assert found["caption_character"].counts == {"a": 2, "b": 1, "ç": 1}
    assert found["domain"].counts == {"A": 1, "B": 2}
    assert (found["size"].counts, found["size_y"].counts) == ({"2x2x1": 1}, {"2x2x1": 2})
    assert "class" not in found


# -- anomalies -----------------------------------------------------------------------------------------


def test_sound_images_have_no_anomaly() -> None:
    assert images.anomalies(summaries(table(*noise(4, 2, 2, 1), label=list("abab")))) == []


ODD: dict[str, tuple[pa.Table, str]] = {
    "sizes": (
        table(*noise(2, 4, 4, 1), noise(4, 6, 1)),
        "the images have 2 different sizes (4x4x1: 6, 4x6x1: 3): set data.read.resize, e.g. 32",
    ),
    "constant": (table(np.zeros((2, 2, 1), np.uint8)), "every training image is of one single value"),
    "unlabelled": (table(*noise(2, 2, 2, 1), label=["a", None]), "3 images have no class among 3 that"),
    "missing-pair": (
        table(*noise(2, 2, 2, 1), y=[noise(2, 2, 1), None]),
        "1 images of the train split have no partner",
    ),
    "missing-caption": (
        table(*noise(2, 2, 2, 1), caption=["a", None]),
        "1 images of the train split have no caption",
    ),
    "missing-domain": (table(noise(2, 2, 1), domain=["A"]), "the train split has no image of domain B"),
}


@pytest.mark.parametrize("rule", ODD)
def test_each_anomaly_is_said(rule: str) -> None:
    records, sentence = ODD[rule]
    found = images.anomalies(summaries(records))
    assert {anomaly.rule for anomaly in found} == {rule}
    assert found[0].severity == "error"
    assert sentence in found[0].message


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_class_that_a_split_lacks(split: str) -> None:
    both, one = (table(*noise(2, 2, 2, 1), label=list(labels)) for labels in ("ab", "aa"))
    found = images.anomalies(summaries(**{"train": both, "validation": both, "test": both, split: one}))
    assert [anomaly.message for anomaly in found] == [
        f"the {split} split has no example of class b: give more data"
    ]


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
