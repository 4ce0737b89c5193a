"""Arrays saved by NumPy: what is no array of images with as many labels stops before anything runs."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components import numpy_arrays
from components.errors import DataError
from components.image_sources import numpy_files
from components.modalities import Block, images
from tests.components.image_sources.records import found, pictures, said, table

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


# -- what is read --------------------------------------------------------------------------------------


def test_npy_with_labels_beside_it(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.npy", IMAGES)
    labels = saved(tmp_path / "y.npy", np.array([3, 0, 0, 1, 2, 2, 10]))
    records = table(f"npy:{file}", labels=str(labels))
    shown = pictures(records)
    assert list(shown) == [f"x.npy#{i:07d}" for i in range(7)]
    np.testing.assert_array_equal(np.stack(list(shown.values())), IMAGES)
    assert records.column("label").to_pylist() == ["3", "0", "0", "1", "2", "2", "10"]
    assert set(table(f"npy:{file}").column("label").to_pylist()) == {None}


def test_grey_floats_and_masks_become_bytes(tmp_path: Path) -> None:
    grey = IMAGES[..., 0]
    for dtype in ("float16", "float32", ">f8"):
        file = saved(tmp_path / "x.npy", (grey / 255).astype(dtype))
        shown = np.stack(list(pictures(table(f"npy:{file}")).values()))
        np.testing.assert_array_equal(shown[..., 0], grey)
    file = saved(tmp_path / "mask.npy", grey > 100)
    shown = np.stack(list(pictures(table(f"npy:{file}")).values()))
    np.testing.assert_array_equal(shown[..., 0], np.where(grey > 100, 255, 0))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("x_train", "y_train", "x_test", "y_test"), {"train": "development", "test": "test"}),
        (
            ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
            {"train": "train", "validation": "validation", "test": "test"},
        ),
        (("x_train", "y_train"), {"train": None}),
    ],
)
def test_npz_with_official_parts(tmp_path: Path, save: Any, names: list[str], parts: dict[str, Any]) -> None:
    columns = np.arange(7, dtype=np.uint8)[:, None]  # MedMNIST's labels are a column
    save(tmp_path / "x.npz", **{name: columns if i % 2 else IMAGES for i, name in enumerate(names)})
    records = table(f"npz:{tmp_path / 'x.npz'}")
    assert {key.split("/")[0]: part for key, part in said(records, "part").items()} == parts
    assert records.num_rows == 7 * len(parts)
    np.testing.assert_array_equal(pictures(records)["train/0000004"], IMAGES[4])
    assert said(records, "label")["train/0000004"] == "4"


def test_npz_without_parts(tmp_path: Path) -> None:
    words = np.array(list("abcabc") + ["d"])
    file = tmp_path / "x.npz"
    for names in ({"images": IMAGES, "labels": words}, {"arr_0": IMAGES, "arr_1": words}):
        np.savez(file, **names)
        assert table(f"npz:{file}").column("label").to_pylist() == words.tolist()
    np.savez(file, pixels=IMAGES, kind=words)
    assert set(table(f"npz:{file}").column("label").to_pylist()) == {None}
    records = table(f"npz:{file}", labels="kind")
    assert said(records, "label")["x.npz#0000006"] == "d"


def test_blocks_of_a_few_rows_give_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=np.arange(7))
    file, labels = saved(tmp_path / "x.npy", IMAGES), saved(tmp_path / "y.npy", np.arange(7))
    sources: list[tuple[str, dict[str, str]]] = [
        (f"npy:{file}", {"labels": str(labels)}),
        (f"npz:{tmp_path / 'x.npz'}", {}),
    ]
    whole = [table(source, **options).combine_chunks() for source, options in sources]
    monkeypatch.setattr(numpy_files, "CHUNK_BYTES", 3 * 60)
    for (source, options), expected in zip(sources, whole, strict=True):
        blocks = [one for one in found(source, **options) if isinstance(one, Block)]
        assert [len(block.keys) for block in blocks] == [3, 3, 1]
        assert table(source, **options).combine_chunks().equals(expected)


def test_memory_is_that_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.zeros((4000, 32, 32, 3), np.uint8)
    np.savez_compressed(tmp_path / "x.npz", images=many)
    saved(tmp_path / "x.npy", many)
    monkeypatch.setattr(numpy_files, "CHUNK_BYTES", 200_000)
    for kind in ("npy", "npz"):
        options = images.Read()
        chunks = images.plan(f"{kind}:{tmp_path}/x.{kind}", options)
        tracemalloc.start()
        count = sum(len(block.keys) for chunk in chunks for block in images.read(chunk, options))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 4000
        assert peak < many.nbytes / 8


# -- what is refused -----------------------------------------------------------------------------------

FLOATS = IMAGES / 255


def with_value(value: float) -> np.ndarray:
    array = FLOATS.astype(np.float32)
    array[5, 1, 2, 0] = value
    return array


BAD_IMAGES: dict[str, tuple[np.ndarray, str]] = {
    "objects": (np.array([{}, None], object), "holds Python objects, which are pickled"),
    "whole numbers": (IMAGES.astype(np.int64), r"is of int64: .*save it with \.astype\('uint8'\)"),
    "sixteen bits": (IMAGES.astype(np.uint16), "is of uint16: images are uint8"),
    "complex": (FLOATS.astype(complex), "is of complex128: images are uint8"),
    "words": (np.array(["a", "b"]), "is of <U1: images are uint8"),
    "records": (np.zeros(3, [("r", "u1"), ("g", "u1")]), "save plain numbers"),
    "dates": (np.zeros((2, 4, 4), "datetime64[s]"), "save plain numbers"),
    "flat rows": (IMAGES.reshape(7, -1), r"is of shape \(7, 60\): images are \[n, height, width\]"),
    "a number": (np.uint8(3), r"is of shape \(\)"),
    "videos": (IMAGES[:, None], r"is of shape \(7, 1, 4, 5, 3\): images are"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2).copy(), r"numpy\.moveaxis\(a, 1, -1\)"),
    "many channels": (np.zeros((2, 8, 8, 9), np.uint8), "images are"),
    "no image": (IMAGES[:0], r"is of shape \(0, 4, 5, 3\)"),
    "no pixel": (IMAGES[:, :0], "images are"),
    "Fortran's order": (np.asfortranarray(IMAGES), r"save numpy\.ascontiguousarray of it"),
    "not a number": (with_value(np.nan), r"has nan in image 5: floats are in \[0, 1\]"),
    "infinity": (with_value(np.inf), "has inf in image 5"),
    "minus infinity": (with_value(-np.inf), "has -inf in image 5"),
    "below 0": (with_value(-0.5), r"has -0\.5 in image 5"),
    "above 1": (with_value(1.5), r"has 1\.5 in image 5: .*divide by 255"),
}


@pytest.mark.parametrize("close", ["npy", "npz"])
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, name: str, close: str) -> None:
    array, sentence = BAD_IMAGES[name]
    file = tmp_path / f"x.{close}"
    if close == "npy":
        np.save(file, array, allow_pickle=True)
    else:
        np.savez(file, images=array)
    with pytest.raises(DataError, match=sentence) as error:
        table(f"{close}:{file}")
    assert str(file) in str(error.value)


BAD_LABELS: dict[str, tuple[np.ndarray, str]] = {
    "too few": (np.arange(6), r"is of shape \(6,\), and there are 7 images"),
    "one-hot": (np.eye(7, dtype=np.uint8), r"use \.argmax\(1\)"),
    "floats": (np.array([0, 1, np.nan, 0, 1, 2, 3]), "is of float64: labels are whole numbers or strings"),
    "below 0": (np.array([0, 1, -1, 0, 1, 2, 3]), "says -1 of image 2: labels count from 0"),
    "objects": (np.array([None] * 7), "holds Python objects"),
    "an empty name": (np.array(["a"] * 6 + [""]), "has an empty label, of image 6"),
    "no text": (np.array([b"a"] * 6 + [b"\xff"]), "has a label that is no text, of image 6"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_labels_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    labels, sentence = BAD_LABELS[name]
    np.save(tmp_path / "y.npy", labels, allow_pickle=True)
    file = saved(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=sentence) as error:
        table(f"npy:{file}", labels=str(tmp_path / "y.npy"))
    assert "y.npy" in str(error.value)


def test_what_a_file_has_by_its_header_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """The rest, values and words, is found while it is read."""
    for name, (array, _) in BAD_IMAGES.items():
        np.save(tmp_path / "x.npy", array, allow_pickle=True)
        if array.dtype != np.float32:
            with pytest.raises(DataError):
                images.preflight(f"npy:{tmp_path / 'x.npy'}", images.Read())
        else:
            assert name in ("not a number", "infinity", "minus infinity", "below 0", "above 1")


def test_an_npz_that_does_not_say_which_array_is_meant(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", left=IMAGES, right=IMAGES)
    with pytest.raises(DataError, match="holds left, right: call the array of images 'images'"):
        table(f"npz:{tmp_path / 'x.npz'}")
    np.savez(tmp_path / "x.npz", images=IMAGES)
    with pytest.raises(DataError, match=r"holds images, and no 'kind' \(data\.read\.labels\)"):
        table(f"npz:{tmp_path / 'x.npz'}", labels="kind")


def attempt(source: str) -> tuple[pa.Table | None, str]:
    """The records, or the sentence that there is in their place."""
    try:
        return table(source), ""
    except DataError as error:
        return None, str(error)


# -- damage --------------------------------------------------------------------------------------------


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> tuple[Any, Any]:
            return (Path.touch, (canary,))

    np.save(tmp_path / "x.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", images=np.array([Trap()], object))
    for kind in ("npy", "npz"):
        with pytest.raises(DataError, match="holds Python objects"):
            table(f"{kind}:{tmp_path}/x.{kind}")
    assert not canary.exists()


def test_two_arrays_of_one_name_and_a_bomb_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = io.BytesIO()
    np.save(body, IMAGES)
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("images.npy", body.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("images.npy", body.getvalue())
    with pytest.raises(DataError, match="two arrays of one name"):
        table(f"npz:{tmp_path / 'twice.npz'}")
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(bytes(11_000_000))
    monkeypatch.setattr(numpy_arrays, "BOMB_BYTES", 10_000_000)
    with pytest.raises(DataError, match="expands from"):
        images.preflight(f"npz:{tmp_path / 'bomb.npz'}", images.Read())


@settings(max_examples=100, derandomize=True, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["npy", "npz"]))
def test_a_damaged_file_is_refused_or_read_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    """Any byte changed, or the end cut off: the same number of images, or one sentence with the file."""
    file = tmp_path_factory.getbasetemp() / f"mutant.{kind}"
    if kind == "npy":
        np.save(file, IMAGES)
    else:
        np.savez_compressed(file, images=IMAGES)
    body = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        body[at] ^= data.draw(st.integers(1, 255))
    else:
        del body[at:]
    file.write_bytes(body)
    records, sentence = attempt(f"{kind}:{file}")
    if records is None:
        assert str(file) in sentence
    else:
        assert sum(image.size for image in pictures(records).values()) == IMAGES.size


@settings(max_examples=50, derandomize=True, deadline=None)
@given(
    array=arrays.arrays(
        arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    )
)
def test_any_array_is_images_or_refused(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    file = saved(tmp_path_factory.getbasetemp() / "any.npy", array)
    records, sentence = attempt(f"npy:{file}")
    if records is None:
        assert str(file) in sentence
    else:
        assert records.num_rows == len(array) > 0
        assert array.dtype.kind in "buf"
