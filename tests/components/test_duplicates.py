"""Duplicates: equal and nearly equal records are found across the splits, and what is only of one kind is not."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components import duplicates, image_likeness
from components.image_arrays import packed
from components.ingest import ingest
from components.likeness import distance, of_shingles, projected, thumbnails
from components.settings import DataSettings


def photograph(seed: int, side: int = 48) -> np.ndarray:
    """A smooth random picture, uint8 `[side, side, 3]`."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def jpeg(image: np.ndarray, quality: int = 60) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def table_of(images: list[np.ndarray]) -> pa.Table:
    sizes = [image.shape for image in images]
    columns: dict[str, Any] = {"pixels": pa.concat_arrays([packed(image[None]) for image in images])}
    for i, name in enumerate(("height", "width", "channels")):
        columns[name] = pa.array([size[i] for size in sizes], pa.int32())
    return pa.table(columns)


CHANGES = {
    "compressed again": jpeg,
    "resized": lambda image: np.asarray(Image.fromarray(image).resize((40, 40), Image.Resampling.LANCZOS)),
    "brighter": lambda image: np.clip(image.astype(int) + 15, 0, 255).astype(np.uint8),
    "less contrast": lambda image: (image * 0.9).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 6, image.shape), 0, 255).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_alike_and_another_picture_is_not(change: str) -> None:
    originals = [photograph(seed) for seed in range(60)]
    copies = [CHANGES[change](image) for image in originals]
    a, b = table_of(originals), table_of(copies)
    assert image_likeness.alike(a, b).all()
    assert not image_likeness.alike(a, table_of([*originals[1:], originals[0]])).any()
    bits = distance(image_likeness.signatures(a), image_likeness.signatures(b))
    assert np.median(bits) <= duplicates.MOST_BITS


def test_thumbnails_are_means() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 20, 2), np.uint8)
    expected = images.reshape(3, 4, 3, 4, 5, 2).mean((2, 4, 5)).reshape(3, 16)
    np.testing.assert_allclose(thumbnails(images, 4), expected, rtol=1e-6)
    assert thumbnails(images[:, :2], 8).shape == (3, 64)


def test_the_bits_of_signatures_tell_the_angle() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 300))
    for angle in (0.1, 0.5, 1.5):
        other = rng.normal(size=a.shape)
        b = np.cos(angle) * a + np.sin(angle) * other
        bits = distance(projected(a), projected(b)).mean()
        assert abs(bits / 128 - angle / np.pi) < 0.02
    words = [[f"{i}".encode() for i in range(start, start + 100)] for start in (0, 2, 90)]
    signatures = of_shingles(words)
    assert distance(signatures[0], signatures[1]) < 20 < distance(signatures[0], signatures[2])


def pictures(folder: Path, count: int, copies: int) -> dict[str, str]:
    """`count` photographs, the first `copies` of them once more as JPEG; original → copy."""
    folder.mkdir()
    for number in range(count):
        Image.fromarray(photograph(number)).save(folder / f"p{number:04d}.png")
    for number in range(copies):
        Image.fromarray(photograph(number)).save(folder / f"copy{number:04d}.jpg", quality=70)
    return {f"p{number:04d}.png": f"copy{number:04d}.jpg" for number in range(copies)}


def test_copies_across_splits_are_reported_with_their_names(tmp_path: Path) -> None:
    pairs = pictures(tmp_path / "pictures", 150, 100)
    ingest(DataSettings(source=f"images:{tmp_path / 'pictures'}"), tmp_path / "records")
    told = json.loads((tmp_path / "records/duplicates.json").read_text("utf-8"))
    sides = sides_of(tmp_path / "records")
    across = {(a, b) for a, b in pairs.items() if sides[a] != sides[b] and "train" in (sides[a], sides[b])}
    assert len(across) > 20
    assert told["exact"]["groups"] == 0
    assert told["near"]["pairs"] >= 0.8 * len(across)
    assert told["near"]["not_compared"] == 0
    for (split_a, a), (split_b, b) in told["near"]["first"]:
        assert (split_a, split_b) == (sides[a], sides[b])
        assert tuple(sorted((a, b), reverse=True)) in across


def sides_of(records: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    return {
        key: file.name.split("-")[0]
        for file in records.glob("*.parquet")
        for key in pq.read_table(file, columns=["key"]).column("key").to_pylist()
    }


def test_digits_have_no_copies(tmp_path: Path) -> None:
    """Two ones look much the same and are not the same picture."""
    ingest(DataSettings(source="digits"), tmp_path / "records")
    told = json.loads((tmp_path / "records/duplicates.json").read_text("utf-8"))
    assert told["exact"]["groups"] == 0
    assert told["near"]["pairs"] == 0


def test_lossless_and_compressed_cifar_images_are_found_as_the_same(test_data: Path) -> None:
    """100 lossless images, and the same as JPEG among 5,000: the copy is alike, and hardly another."""
    folder = test_data / "cifar10"
    with zipfile.ZipFile(folder / "lossless_png_train_tiny.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        lossless = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    with zipfile.ZipFile(folder / "train_5000_jpg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        lossy = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    wide = np.stack(lossy).reshape(len(lossy), -1).astype(np.float32)
    nearest = [int(((wide - image.reshape(-1)) ** 2).sum(1).argmin()) for image in lossless]
    copies = table_of([lossy[i] for i in nearest])
    originals = table_of(lossless)
    assert image_likeness.alike(originals, copies).mean() >= 0.95
    others = table_of([lossy[(i + 1) % len(lossy)] for i in nearest])
    assert image_likeness.alike(originals, others).mean() <= 0.01
    bits = distance(image_likeness.signatures(originals), image_likeness.signatures(copies))
    assert (bits <= duplicates.MOST_BITS).mean() >= 0.8


def test_a_transposed_chorale_is_nearly_the_same_piece(test_data: Path, tmp_path: Path) -> None:
    pieces = json.loads((test_data / "jsb_chorales/jsb-chorales-quarter.json").read_text("utf-8"))
    copied = [[[pitch + 2 for pitch in chord] for chord in piece] for piece in pieces["train"][:10]]
    source = tmp_path / "chorales-quarter.json"
    source.write_text(
        json.dumps({"train": pieces["train"], "valid": pieces["valid"], "test": copied}), "utf-8"
    )
    ingest(DataSettings(source=f"chorales:{source}"), tmp_path / "records")
    told = json.loads((tmp_path / "records/duplicates.json").read_text("utf-8"))["near"]
    assert told["leaked"]["test"] == 10
