"""Parquet files of encoded images, as Hugging Face writes them and as others do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.errors import DataError
from components.image_sources import parquet
from components.modalities import Rejected, images
from tests.components.image_sources.records import found, pictures, said, table

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 3), np.uint8)


def encoded(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, group: int = 4, names: list[str] | None = None, **columns: Any) -> Path:
    """Ten rows; `columns` replace or add to image and label."""
    rows = {
        "image": [{"bytes": encoded(image), "path": f"{i}.png"} for i, image in enumerate(IMAGES)],
        "label": [i % 3 for i in range(10)],
        **columns,
    }
    written = pa.table({name: values for name, values in rows.items() if values is not None})
    if names is not None:
        told = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        written = written.replace_schema_metadata({"huggingface": json.dumps(told)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, path, row_group_size=group)
    return path


def test_structs_and_bytes_are_decoded(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet")
    plain = write(tmp_path / "y.parquet", image=None, data=[encoded(image) for image in IMAGES])
    for one in (file, plain):
        records = table(f"parquet:{one}")
        shown = pictures(records)
        assert list(shown) == [f"{one.name}#{i:07d}" for i in range(10)]
        np.testing.assert_array_equal(np.stack(list(shown.values())), IMAGES)
        assert records.column("label").to_pylist() == [str(i % 3) for i in range(10)]
        assert set(records.column("part").to_pylist()) == {None}


def test_images_look_as_the_recipe_says(tmp_path: Path) -> None:
    shown = pictures(table(f"parquet:{write(tmp_path / 'x.parquet')}", resize=4, colour="grey"))
    assert {image.shape for image in shown.values()} == {(4, 4, 1)}


def test_classes_have_the_names_of_the_metadata(tmp_path: Path) -> None:
    labels = [0, 1, 2, -1, 0, 1, 2, 3, 0, None]
    file = write(tmp_path / "x.parquet", names=["cat", "dog", "cow"], label=labels)
    seen = found(f"parquet:{file}")
    assert [one.fields["label"] for one in seen if not isinstance(one, Rejected)] == [
        *["cat", "dog", "cow", None, "cat", "dog", "cow", "cat", None]
    ]
    (rejected,) = (one for one in seen if isinstance(one, Rejected))
    assert (rejected.key, rejected.rule) == ("x.parquet#0000007", "unknown-class")


def test_labels_and_captions_by_their_columns(tmp_path: Path) -> None:
    words = pa.array(list("abcdefghij")).dictionary_encode()
    file = write(tmp_path / "x.parquet", kind=words, text=[f"number {i}" for i in range(10)])
    records = table(f"parquet:{file}", labels="kind", captions="text")
    assert said(records, "label")["x.parquet#0000004"] == "e"
    assert said(records, "caption")["x.parquet#0000004"] == "number 4"
    for option in ("labels", "captions"):
        with pytest.raises(DataError, match=rf"has no column 'sort' \(data\.read\.{option}\): image, label"):
            table(f"parquet:{file}", **{option: "sort"})


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "test"), {"train": "development", "test": "test"}),
        (
            ("train", "validation", "test"),
            {"train": "train", "validation": "validation", "test": "test"},
        ),
        (("train",), {"train": None}),
    ],
)
def test_official_parts_by_the_names_of_files(
    tmp_path: Path, names: list[str], parts: dict[str, str | None]
) -> None:
    for name in names:
        write(tmp_path / f"data/{name}-00000-of-00001.parquet")
    records = table(f"parquet:{tmp_path}")
    assert records.num_rows == 10 * len(names)
    seen = {key.split("/")[1].split("-")[0]: part for key, part in said(records, "part").items()}
    assert seen == parts


def test_row_groups_are_chunks_and_keys_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "x.parquet")
    whole = table(f"parquet:{file}").combine_chunks()
    assert len(images.plan(f"parquet:{file}", images.Read())) == 1
    monkeypatch.setattr(parquet, "CHUNK_BYTES", 1)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 3)
    chunks = images.plan(f"parquet:{file}", images.Read())
    assert [(chunk["groups"], chunk["first"]) for chunk in chunks] == [([0], 0), ([1], 4), ([2], 8)]
    assert table(f"parquet:{file}").combine_chunks().equals(whole)


def test_what_cannot_be_decoded_is_set_aside(tmp_path: Path) -> None:
    column: list[bytes | None] = [encoded(image) for image in IMAGES]
    column[2], column[5], column[7] = None, b"", b"<html>404</html>"
    seen = found(f"parquet:{write(tmp_path / 'x.parquet', image=column)}")
    rejected = {one.key[-1]: one.rule for one in seen if isinstance(one, Rejected)}
    assert rejected == {"2": "no-image", "5": "empty-file", "7": "foreign-format"}
    assert len(seen) == 10


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"image": None}, "has the columns label: encoded images are in one of bytes"),
        ({"image": None, "a": [b""] * 10, "b": [b""] * 10}, "more than one is: call it image"),
        ({"label": [[1]] * 10}, "column 'label' is of list"),
        ({"label": [0.5] * 10}, "column 'label' is of double"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    file = write(tmp_path / "x.parquet", **columns)
    with pytest.raises(DataError, match=sentence):
        images.preflight(f"parquet:{file}", images.Read())


def test_captions_are_text(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="column 'label' is of int64: captions are text"):
        images.preflight(f"parquet:{file}", images.Read(captions="label"))


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "flipped"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path / "x.parquet")
    body = bytearray(file.read_bytes())
    if damage == "flipped":
        at = body.index(b"\x89PNG")
        body[at - 60 : at] = bytes(60)
    file.write_bytes({"cut": body[:-100], "empty": b"", "other": b"PK" + body}.get(damage, body))
    if damage == "other":
        file.write_bytes(b"image,label\n" * 100)
    with pytest.raises(DataError, match=r"x\.parquet' cannot be read as Parquet"):
        table(f"parquet:{file}")


def test_a_folder_without_parquet_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.parquet file under"):
        images.preflight(f"parquet:{tmp_path}", images.Read())
