"""Images: what is decoded looks as a person would see it; what cannot be decoded is set aside with a reason."""

from __future__ import annotations

import gzip
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin

from components.errors import DataError
from components.modalities import Record, Rejected, images

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def read(source: str, **options: Any) -> dict[str, Record | Rejected]:
    images.preflight(source)
    settings = images.Read(**options)
    chunks = images.plan(source, settings)
    return {found.key: found for chunk in chunks for found in images.read(chunk, settings)}


def pixels(record: Record | Rejected) -> np.ndarray:
    assert isinstance(record, Record), record
    shape = [record.fields[name] for name in ("height", "width", "channels")]
    return np.frombuffer(record.fields["pixels"], np.uint8).reshape(shape)


def read_one(path: Path, **options: Any) -> np.ndarray:
    (record,) = read(f"images:{path.parent}", **options).values()
    return pixels(record)


# -- folders -------------------------------------------------------------------------------------------


def test_png_and_jpeg_in_class_folders(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    for name in ("cat/a.png", "dog/deep/b.PNG", "dog/c.jpg", "dog/d.JPEG", "cat/notes.txt", "cat/e.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        kind = {"jpg": "JPEG", "jpeg": "JPEG", "gif": "GIF"}.get(name.rsplit(".")[-1].lower(), "PNG")
        Image.fromarray(colour).save(tmp_path / name, kind)
    (tmp_path / "cat/folder.png").mkdir()
    found = read(f"images:{tmp_path}")
    assert {key: record.fields["label"] for key, record in found.items()} == {
        "cat/a.png": "cat",
        "dog/deep/b.PNG": "dog",
        "dog/c.jpg": "dog",
        "dog/d.JPEG": "dog",
    }
    np.testing.assert_array_equal(pixels(found["cat/a.png"]), colour)
    assert pixels(found["dog/c.jpg"]).shape == (6, 5, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    """The eight files are one picture, stored in the eight ways that the tag describes."""
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255  # a white mark, top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_one(tmp_path / "a.png"), upright)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    wide = np.array([[0, 257, 32768, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png", colour="grey")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparent_is_white_in_every_mode(tmp_path: Path) -> None:
    """Left transparent, right red (or black, in grey): RGBA, LA, palette and 16-bit grey."""
    rgba = Image.fromarray(np.array([[(0, 0, 255, 0), (*RED, 255)]], np.uint8))
    rgba.save(tmp_path / "rgba.png")
    palette = Image.new("P", (2, 1))
    palette.putpalette([*(0, 0, 255), *RED])
    palette.putdata([0, 1])
    palette.save(tmp_path / "palette.png", transparency=0)
    Image.fromarray(np.array([[(50, 0), (0, 255)]], np.uint8), "LA").save(tmp_path / "la.png")
    (tmp_path / "grey16.png").write_bytes(png(np.array([[500, 0]], ">u2"), depth=16, transparent=500))
    found = read(f"images:{tmp_path}")
    for name, right in (("rgba", RED), ("palette", RED), ("la", BLACK), ("grey16", BLACK)):
        assert pixels(found[f"{name}.png"]).tolist() == [[list(WHITE), list(right)]], name


def test_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png").tolist() == [[[204, 204, 204]]]


def test_grey_and_colour_become_what_the_recipe_says(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 90).save(tmp_path / "grey.png")
    Image.new("1", (3, 2), 1).save(tmp_path / "bits.png")
    Image.new("RGB", (3, 2), RED).save(tmp_path / "red.png")
    Image.new("CMYK", (3, 2), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    grey = read(f"images:{tmp_path}", colour="grey")
    assert {pixels(record).shape for record in grey.values()} == {(2, 3, 1)}
    assert pixels(grey["red.png"])[0, 0, 0] == 76  # 0.299 of 255: ITU-R 601
    colour = read(f"images:{tmp_path}", colour="rgb")
    assert {pixels(record).shape for record in colour.values()} == {(2, 3, 3)}
    assert pixels(colour["grey.png"])[0, 0].tolist() == [90, 90, 90]
    assert pixels(colour["bits.png"])[0, 0].tolist() == list(WHITE)
    assert pixels(colour["print.jpg"])[0, 0].tolist() == list(WHITE)


def test_resize_crops_the_middle_and_keeps_the_proportions(tmp_path: Path) -> None:
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 6:26] = 255  # wider than the crop, since the filter looks a few pixels around
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert (read_one(tmp_path / "a.png", resize=4) == 255).all()


def png(values: np.ndarray, depth: int, transparent: int) -> bytes:
    """A grey PNG with a transparent value, which Pillow reads and does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">H", transparent)),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 x 60,000."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    idat = zlib.compress(bytes(100))
    body += struct.pack(">I", len(idat)) + b"IDAT" + idat + struct.pack(">I", zlib.crc32(b"IDAT" + idat))
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_decoded_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(
        tmp_path / "good.png"
    )
    good = (tmp_path / "good.png").read_bytes()
    Image.new("L", (8000, 8000)).save(tmp_path / "large.png")
    comment = PngImagePlugin.PngInfo()
    comment.add_text("comment", "x" * 2_000_000, zip=True)
    Image.new("L", (1, 1)).save(tmp_path / "text_bomb.png", pnginfo=comment)
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.png").write_text("<html>404</html>")
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    try:
        shutil.copy(tmp_path / "good.png", bytes(tmp_path) + b"/caf\xe9.png")
    except OSError:  # a file system that takes only UTF-8 names
        pytest.skip("this file system has no such name")
    found = read(f"images:{tmp_path}")
    reasons = {key: one.reason for key, one in found.items() if isinstance(one, Rejected)}
    assert set(found) - set(reasons) == {"good.png"}
    for key, words in {
        "large.png": "8000x8000 pixels; the most is 50,000,000",
        "bomb.png": "DecompressionBombError",
        "text_bomb.png": "Decompressed data too large",
        "cut.png": "truncated",
        "empty.jpg": "cannot identify",
        "page.png": "cannot identify",
        "dangling.png": "No such file",
        "caf\\udce9.png": "not UTF-8",
    }.items():
        assert words in reasons.pop(key)
    assert not reasons


def test_the_awkward_files_give_the_size_that_is_expected_or_a_reason(test_data: Path) -> None:
    folder = test_data / "odd_images"
    lines = [line.split("\t") for line in (folder / "EXPECTED.tsv").read_text("utf-8").splitlines()]
    expected = {line[0]: line[1:] for line in lines if not line[0].startswith("#")}
    assert len(expected) == 40
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read(f"images:{folder}")
    assert set(found) == {name for name in expected if Path(name).suffix in images.SUFFIXES}
    for name, one in found.items():
        if "FAILS" in "".join(expected[name]):
            assert isinstance(one, Rejected), name
            continue
        width, height = map(int, expected[name][2].split("x"))
        if "exif_orientation=6" in expected[name] or "exif_orientation=8" in expected[name]:
            width, height = height, width
        assert pixels(one).shape == (height, width, 3), name
    upright = [pixels(found[f"hopper_orientation_{i}.jpg"]).astype(float) for i in (2, 3, 6, 8)]
    for other in upright[1:]:  # the same picture, four times compressed
        assert np.abs(other - upright[0]).mean() < 6  # the turned ones differ by more than 50
    assert (pixels(found["i_trns.png"]) == 255).any()


def test_a_folder_without_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        images.preflight(f"images:{tmp_path / 'nowhere'}")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"no \.jpeg, \.jpg, \.png file under"):
        images.preflight(f"images:{tmp_path}")


# -- idx files -----------------------------------------------------------------------------------------


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
    found = read(f"idx:{tmp_path}")
    assert [record.part for record in found.values()] == ["train"] * 12 + ["test"] * 5
    np.testing.assert_array_equal(pixels(found["train/0000007"])[..., 0], train[7])
    np.testing.assert_array_equal(pixels(found["test/0000004"])[..., 0], test[4])
    assert found["train/0000011"].fields["label"] == "1"


def test_idx_files_without_t10k_are_split_like_any_other_source(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 12)
    assert {record.part for record in read(f"idx:{tmp_path}").values()} == {None}


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
        read(f"idx:{tmp_path}")


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
        read(f"idx:{tmp_path}")


def test_another_number_of_labels_is_said_with_both_files(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 12)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte' is of shape \(11,\).*holds 12 images"):
        read(f"idx:{tmp_path}")


def test_labels_alone_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        read(f"idx:{tmp_path}")


# -- records → examples → pictures ---------------------------------------------------------------------


def table(values: np.ndarray, labels: list[str | None]) -> pa.Table:
    rows = [
        {
            "pixels": image.tobytes(),
            "height": image.shape[0],
            "width": image.shape[1],
            "channels": image.shape[2],
            "label": label,
        }
        for image, label in zip(values, labels, strict=True)
    ]
    return pa.Table.from_pylist(rows, pa.schema(images.RECORD))


def encoded(binarise: str, values: np.ndarray, labels: list[str | None]) -> tuple[Any, dict[str, np.ndarray]]:
    records = table(values, labels)
    encoding = images.fit({"train": images.summarise(records)}, images.Encode(binarise=binarise))
    return encoding, images.encode(records, encoding)


def test_labels_are_the_place_in_the_sorted_classes_numbers_by_value() -> None:
    values = np.zeros((4, 2, 2, 1), np.uint8)
    encoding, arrays = encoded("none", values, ["10", "9", "2", "9"])
    assert encoding["classes"] == ["2", "9", "10"]
    assert arrays["label"].tolist() == [2, 1, 0, 1]
    encoding, _ = encoded("none", values, ["10", "9", "²", "b"])  # a superscript is a digit and no number
    assert encoding["classes"] == ["10", "9", "b", "²"]
    encoding, arrays = encoded("none", values, [None] * 4)
    assert encoding["classes"] == []
    assert set(arrays) == {"x"}


def test_grey_levels_become_numbers_from_0_to_1() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    encoding, arrays = encoded("none", values, ["a"])
    x = images.batch(arrays, encoding, np.random.default_rng(0))["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(np.rint(x * 255), values)
    assert (x.min(), x.max()) == (0, 1)
    assert images.spec(encoding).levels == 256


def test_threshold_is_one_above_the_half() -> None:
    values = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    encoding, arrays = encoded("threshold", values, ["a"])
    x = images.batch(arrays, encoding, np.random.default_rng(0))["x"]
    assert x.ravel().tolist() == [0, 0, 1, 1]
    assert images.spec(encoding).levels == 2


def test_sampled_binarisation_is_one_with_the_grey_s_probability() -> None:
    values = np.repeat(np.array([0, 51, 255], np.uint8), 4000).reshape(1, 100, 120, 1)
    encoding, arrays = encoded("sample", values, ["a"])
    x = images.batch(arrays, encoding, np.random.default_rng(0))["x"].ravel()
    assert set(np.unique(x)) == {0, 1}
    assert x[:4000].max() == 0
    assert x[8000:].min() == 1
    assert abs(x[4000:8000].mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 4000)


def test_the_statistics_of_two_parts_merge_to_those_of_the_whole() -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 3, 2, 1), np.uint8)
    values[1] = 7
    labels = ["a", "b", None, "a", "c"]
    parts = [images.summarise(table(values[a:b], labels[a:b])) for a, b in ((0, 2), (2, 5))]
    whole = images.summarise(table(values, labels))
    assert images.merge(*parts) == whole
    assert whole["constant"] == 1
    assert sum(whole["histogram"]) == values.size


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_written_as_a_grid_that_shows_them(tmp_path: Path, channels: int) -> None:
    samples = np.random.default_rng(0).random((5, 4, 4, channels)).astype(np.float32)
    out = images.write_samples(samples, {}, tmp_path / "samples.txt")
    assert out == tmp_path / "samples.png"
    shown = np.asarray(Image.open(out))
    assert shown.shape[:2] == (
        8 * (2 * 5 + 1),
        8 * (3 * 5 + 1),
    )  # 2 rows of 3, a line between, 8 times larger
    second = shown[8:40:8, 48:80:8].reshape(4, 4, channels)
    np.testing.assert_array_equal(second, np.rint(samples[1] * 255).astype(np.uint8))
    again = images.write_samples(samples, {}, tmp_path / "again.png")
    assert again.read_bytes() == out.read_bytes()
