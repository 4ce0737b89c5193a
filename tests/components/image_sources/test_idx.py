"""idx files: MNIST as it is published, whole or damaged, plain or compressed."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from components.image_sources import idx as reader
from components.modalities import Block, images
from tests.components.image_sources.records import found, pictures, said, table


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, part: str, count: int, close: Callable[[bytes], bytes] = bytes) -> np.ndarray:
    suffix = ".gz" if close is not bytes else ""
    pictures = np.random.default_rng(count).integers(0, 256, (count, 4, 3), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(close(idx(pictures)))
    (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(close(idx(labels)))
    return pictures


@pytest.mark.parametrize("close", [bytes, gzip.compress])
def test_idx_files_are_read_and_t10k_is_the_test_part(
    tmp_path: Path, close: Callable[[bytes], bytes]
) -> None:
    train = write_idx(tmp_path, "train", 12, close)
    test = write_idx(tmp_path, "t10k", 5, close)
    records = table(f"idx:{tmp_path}")
    assert records.column("part").to_pylist() == ["development"] * 12 + ["test"] * 5
    shown = pictures(records)
    np.testing.assert_array_equal(shown["train/0000007"][..., 0], train[7])
    np.testing.assert_array_equal(shown["test/0000004"][..., 0], test[4])
    assert said(records, "label")["train/0000011"] == "1"


@pytest.mark.parametrize("close", [bytes, gzip.compress])
def test_blocks_of_a_few_rows_give_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close: Callable[[bytes], bytes]
) -> None:
    write_idx(tmp_path, "train", 12, close)
    whole = table(f"idx:{tmp_path}")
    monkeypatch.setattr(reader, "CHUNK_BYTES", 5 * 4 * 3)
    blocks = [one for one in found(f"idx:{tmp_path}") if isinstance(one, Block)]
    assert [len(block.keys) for block in blocks] == [5, 5, 2]
    assert table(f"idx:{tmp_path}").combine_chunks().equals(whole.combine_chunks())


def test_a_compressed_file_is_one_chunk_and_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each chunk would decompress all that lies before it."""
    write_idx(tmp_path, "train", 12, gzip.compress)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 5 * 4 * 3)
    assert len(images.plan(f"idx:{tmp_path}", images.Read())) == 1
    (tmp_path / "plain").mkdir()
    write_idx(tmp_path / "plain", "train", 12)
    assert len(images.plan(f"idx:{tmp_path / 'plain'}", images.Read())) == 3


def test_images_are_resized(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 3)
    shown = pictures(table(f"idx:{tmp_path}", resize=[6, 5], policy="stretch"))
    assert {image.shape for image in shown.values()} == {(6, 5, 1)}
    with pytest.raises(DataError, match=r"the images are 4x3: lower data\.read\.min_side"):
        table(f"idx:{tmp_path}", min_side=4)


def test_idx_files_without_t10k_are_split_like_any_other_source(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 12)
    assert set(table(f"idx:{tmp_path}").column("part").to_pylist()) == {None}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in the body": lambda body: body[:-1],
    "cut in the header": lambda body: body[:9],
    "too long": lambda body: body + b"\0",
    "empty": lambda body: b"",
    "bad magic": lambda body: b"\x89PNG" + body[4:],
    "of floats": lambda body: b"\0\0\x0d\x03" + body[4:],
    "of no image": lambda body: body[:4] + struct.pack(">3I", 0, 4, 3),
    "of no pixel": lambda body: body[:4] + struct.pack(">3I", 12, 0, 3),
    "labels in place of images": lambda body: idx(np.zeros(12, np.uint8)),
}


@pytest.mark.parametrize("close", [bytes, gzip.compress])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_idx_file_is_named(tmp_path: Path, damage: str, close: Callable[[bytes], bytes]) -> None:
    write_idx(tmp_path, "train", 12, close)
    (file,) = tmp_path.glob("train-images*")
    body = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    file.write_bytes(close(DAMAGES[damage](body)))
    with pytest.raises(DataError, match=str(file)):
        table(f"idx:{tmp_path}")


@pytest.mark.parametrize("at", [0, 3, 12, 40, -6, -1])
def test_a_damaged_gzip_is_named(tmp_path: Path, at: int) -> None:
    write_idx(tmp_path, "train", 12, gzip.compress)
    (file,) = tmp_path.glob("train-images*")
    body = bytearray(file.read_bytes())
    body[at] ^= 0xFF
    file.write_bytes(body)
    if at == 3:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=str(file)):
        table(f"idx:{tmp_path}")


def test_another_number_of_labels_is_said_with_both_files(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 12)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte' is of shape \(11,\).*holds 12 images"):
        table(f"idx:{tmp_path}")


def test_labels_alone_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        table(f"idx:{tmp_path}")


def test_mnist_has_the_published_counts(test_data: Path) -> None:
    records = table(f"idx:{test_data / 'mnist'}")
    parts, labels = records.column("part").to_pylist(), records.column("label").to_pylist()
    counts = {part: [0] * 10 for part in ("development", "test")}
    for part, label in zip(parts, labels, strict=True):
        counts[part][int(label)] += 1
    assert counts["development"] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts["test"] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert len(set(records.column("key").to_pylist())) == 70_000
