"""Images from records to arrays and features, and the anomalies that the features tell of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from components.image_arrays import block, by_size, images_of
from components.modalities import images
from tests.components.image_records import SCHEMA, noise, summaries, table

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
