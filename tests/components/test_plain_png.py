"""Plain PNG files: what is decoded without Pillow's search is what Pillow reads, whatever is in the file."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components import plain_png
from components.decoding import FORMATS, Look, Unreadable, pixels_of
from tests.components.odd_files import chunk, saved

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def noise(mode: str, seed: int = 0, side: int = 9) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (side, side + 3, CHANNELS[mode]), np.uint8)
    return Image.fromarray(values.squeeze(-1) if mode == "L" else values)


def plainly(data: bytes) -> Image.Image | None:
    return plain_png.picture(data, lambda width, height: None)


@pytest.mark.parametrize("mode", CHANNELS)
def test_the_four_modes_are_decoded_to_the_same_pixels(mode: str) -> None:
    original = noise(mode)
    picture = plainly(saved(original, "PNG"))
    assert picture is not None
    assert (picture.mode, picture.size) == (mode, original.size)
    assert picture.tobytes() == original.tobytes()


def test_data_in_many_pieces_are_put_together() -> None:
    data = saved(noise("RGB"), "PNG")
    begin, body, end = data[:33], data[41:-16], data[-12:]
    cut = b"".join(chunk(b"IDAT", body[at : at + 7]) for at in range(0, len(body), 7))
    picture = plainly(begin + chunk(b"IDAT", b"") + cut + end)
    assert picture is not None
    assert picture.tobytes() == noise("RGB").tobytes()


def with_header(data: bytes, **changed: int) -> bytes:
    """The file with other numbers in its header, and its checksum."""
    names = ("width", "height", "depth", "colour", "compression", "filter", "interlace")
    told = dict(zip(names, struct.unpack(">IIBBBBB", data[16:29]), strict=True)) | changed
    return data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", *told.values())) + data[33:]


WHOLE = saved(noise("RGB"), "PNG")
LEFT = {
    "a palette": saved(noise("RGB").convert("P"), "PNG"),
    "16 bits": saved(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG"),
    "one bit": saved(noise("L").convert("1"), "PNG"),
    "a transparent colour": WHOLE[:33] + chunk(b"tRNS", bytes(6)) + WHOLE[33:],
    "an orientation": WHOLE[:33] + chunk(b"eXIf", b"MM\0*" + bytes(8)) + WHOLE[33:],
    "a note behind the data": WHOLE[:-12] + chunk(b"tEXt", b"a\0b") + WHOLE[-12:],
    "interlaced": with_header(WHOLE, interlace=1),
    "another filter method": with_header(WHOLE, filter=1),
    "no width": with_header(WHOLE, width=0),
    "a wrong checksum of the header": WHOLE[:29] + bytes(4) + WHOLE[33:],
    "cut in the data": WHOLE[:-40],
    "no end": WHOLE[:-12],
    "not a PNG": saved(noise("RGB"), "JPEG"),
    "nothing": b"",
}


@pytest.mark.parametrize("what", LEFT)
def test_anything_else_is_left_to_pillow(what: str) -> None:
    assert plainly(LEFT[what]) is None


@pytest.mark.parametrize("height", [5, 60])
def test_fewer_or_more_rows_than_the_header_states_are_what_pillow_makes_of_them(height: int) -> None:
    data = with_header(WHOLE, height=height)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(pixels_of(data, Look()), np.asarray(opened))


def test_large_files_are_left_to_pillow_and_read_as_well() -> None:
    data = saved(noise("RGB", side=640), "PNG")
    assert len(data) > plain_png.MOST_BYTES
    assert plainly(data) is None
    np.testing.assert_array_equal(pixels_of(data, Look()), np.asarray(noise("RGB", side=640)))


def test_a_size_that_is_refused_is_not_decoded() -> None:
    with pytest.raises(Unreadable, match="12 x 9 pixels"):
        pixels_of(WHOLE, Look(min_side=10))


@given(
    mode=st.sampled_from(list(CHANNELS)),
    seed=st.integers(0, 9),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3),
    where=st.sampled_from(["file", "compressed data", "lines"]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_damaged_file_is_read_as_pillow_reads_it_or_left_to_it(
    mode: str, seed: int, edits: list[tuple[float, int]], where: str
) -> None:
    data = saved(noise(mode, seed), "PNG")
    body = data[41:-16]
    part = bytearray({"file": data, "compressed data": body, "lines": zlib.decompress(body)}[where])
    for place, value in edits:
        part[int(place * len(part))] = value
    if where == "file":
        data = bytes(part)
    else:
        changed = bytes(part) if where == "compressed data" else zlib.compress(bytes(part))
        data = data[:33] + chunk(b"IDAT", changed) + data[-12:]
    picture = plainly(data)
    if picture is not None:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            assert opened.mode == picture.mode
            assert opened.tobytes() == picture.tobytes()
