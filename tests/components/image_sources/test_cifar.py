"""CIFAR's binary version: planes of colour become pixels, and the pickled version is never opened."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from components.image_sources import cifar
from components.modalities import Block, images
from tests.components.image_sources.records import found, pictures, said, table

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def rows(count: int, seed: int, label_bytes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 32, 32, 3]` and what a file of them holds: labels, then red, green and blue."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = np.stack([np.full(count, 7), np.arange(count) % 10], 1)[:, -label_bytes:].astype(np.uint8)
    planes = pictures.transpose(0, 3, 1, 2).reshape(count, -1)
    return pictures, np.concatenate([labels, planes], axis=1)


def write(folder: Path, names: bool = True) -> dict[str, np.ndarray]:
    written = {}
    for seed, name in enumerate(["data_batch_1", "data_batch_2", "test_batch"]):
        written[name], body = rows(12, seed)
        (folder / f"{name}.bin").write_bytes(body.tobytes())
    if names:
        (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return written


def packed(folder: Path, file: Path) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, f"cifar-10-batches-bin/{path.name}")
    return file


@pytest.mark.parametrize("close", ["folder", "tar.gz"])
def test_cifar_10(tmp_path: Path, close: str) -> None:
    (tmp_path / "in").mkdir()
    written = write(tmp_path / "in")
    where = tmp_path if close == "folder" else packed(tmp_path / "in", tmp_path / "cifar.tar.gz")
    records = table(f"cifar:{where}")
    shown = pictures(records)
    assert len(shown) == 36
    for name, expected in written.items():
        for i, image in enumerate(expected):
            np.testing.assert_array_equal(shown[f"{name}/{i:05d}"], image)
    assert said(records, "label")["data_batch_2/00011"] == "automobile"
    parts = {key.split("/")[0]: part for key, part in said(records, "part").items()}
    assert parts == {"data_batch_1": "development", "data_batch_2": "development", "test_batch": "test"}


def test_without_the_file_of_names_classes_are_numbers(tmp_path: Path) -> None:
    write(tmp_path, names=False)
    assert set(table(f"cifar:{tmp_path}").column("label").to_pylist()) == set("0123456789")


def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    for name, count in (("train", 20), ("test", 10)):
        expected, body = rows(count, 0, label_bytes=2)
        (tmp_path / f"{name}.bin").write_bytes(body.tobytes())
    (tmp_path / "coarse_label_names.txt").write_text("no\n")
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"kind{i}" for i in range(100)))
    records = table(f"cifar:{tmp_path}")
    assert said(records, "label")["train/00013"] == "kind3"
    np.testing.assert_array_equal(pictures(records)["test/00009"], expected[9])
    assert set(said(records, "part").values()) == {"development", "test"}


@pytest.mark.parametrize("close", ["folder", "tar.gz"])
def test_blocks_of_a_few_rows_give_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close: str
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    where = tmp_path / "in" if close == "folder" else packed(tmp_path / "in", tmp_path / "cifar.tar.gz")
    whole = table(f"cifar:{where}").combine_chunks()
    monkeypatch.setattr(cifar, "BLOCK_ROWS", 5)
    blocks = [one for one in found(f"cifar:{where}") if isinstance(one, Block)]
    assert [len(block.keys) for block in blocks] == [5, 5, 2] * 3
    assert table(f"cifar:{where}").combine_chunks().equals(whole)
    assert len(images.plan(f"cifar:{where}", images.Read())) == (9 if close == "folder" else 1)


def test_the_pickled_version_is_never_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Trap:
        def __reduce__(self) -> object:
            return (Path.touch, (canary,))

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    for where in (folder, packed(folder, tmp_path / "cifar.tar.gz")):
        with pytest.raises(DataError, match=r"pickled and could run anything: use the binary version"):
            table(f"cifar:{where}")
    assert not canary.exists()


def test_another_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"holds neither data_batch_1\.bin \(CIFAR-10\) nor train\.bin"):
        table(f"cifar:{tmp_path}")
    with pytest.raises(DataError, match="nowhere"):
        table(f"cifar:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("held", [0, 1, 3072, 3074])
def test_a_file_that_is_not_whole_is_named(tmp_path: Path, held: int) -> None:
    write(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(bytes(held))
    with pytest.raises(DataError, match=rf"data_batch_2\.bin' .*holds {held} bytes, .* no multiple of 3073"):
        images.preflight(f"cifar:{tmp_path}", images.Read())


def test_a_class_that_does_not_exist_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    body = bytearray((tmp_path / "test_batch.bin").read_bytes())
    body[3 * 3073] = 10
    (tmp_path / "test_batch.bin").write_bytes(body)
    with pytest.raises(DataError, match=r"'test_batch\.bin': image 3 is of class 10 and there are 10"):
        table(f"cifar:{tmp_path}")


@pytest.mark.parametrize("names", [NAMES[:9], [*NAMES[:9], "cat"], [*NAMES, "whale"]])
def test_another_number_of_names_is_said(tmp_path: Path, names: list[str]) -> None:
    write(tmp_path)
    (tmp_path / "batches.meta.txt").write_text("\n".join(names))
    with pytest.raises(DataError, match=r"'batches\.meta\.txt' names \d+ classes and there are 10"):
        table(f"cifar:{tmp_path}")


def test_an_archive_with_a_cut_end_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    file = packed(tmp_path / "in", tmp_path / "cifar.tar.gz")
    body = file.read_bytes()
    file.write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match=str(file)):
        table(f"cifar:{file}")
