"""Decoding: crafted files and mutants, an image as a person would see it, or rejected by the rule that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.decoding import Unreadable
from tests.components import odd_files
from tests.components.decoded_files import CRAFTED, decoded, rule_of
from tests.components.odd_files import BLACK, BLUE, COLOUR, GREY, RED, WHITE, chunk, png, saved

# -- crafted files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_file_is_decoded_or_rejected_by_its_rule(name: str) -> None:
    data, rule = CRAFTED[name]
    if rule is None:
        assert decoded(data).shape[-1] == 3
    else:
        assert rule_of(data) == rule


@pytest.mark.parametrize("name", ["png", "gif", "tif", "bmp", "ppm"])
def test_lossless_formats_show_the_same_picture(name: str) -> None:
    right = np.asarray(odd_files.photo())
    image = decoded(CRAFTED[f"whole.{name}"][0])
    if name == "gif":  # 256 colours
        assert np.abs(image.astype(int) - right).mean() < 12
    else:
        np.testing.assert_array_equal(image, right)


@pytest.mark.parametrize("end", ["png", "jpg", "gif", "tif", "webp", "bmp", "ppm"])
def test_cut_anywhere_it_is_never_another_exception(end: str) -> None:
    """Where the cut takes only what comes after the pixels, the image may be whole."""
    data, _ = CRAFTED[f"whole.{end}"]
    right, rules = decoded(data), set()
    for stop in range(0, len(data), max(1, len(data) // 60)):
        try:
            image = decoded(data[:stop])
        except Unreadable as refused:
            rules.add(refused.rule)
        else:
            np.testing.assert_array_equal(image, right)
    assert "truncated" in rules
    assert rules <= {"truncated", "unreadable", "empty-file", "foreign-format"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
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
    every: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
    options = every.get(kind, {})
    image = decoded(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() <= (4 if kind == "JPEG" else 0)


def test_damaged_exif_leaves_the_picture_as_stored() -> None:
    data = saved(Image.new("RGB", (2, 2), RED), "PNG", exif=b"Exif\0\0MM\0*" + b"\xff" * 40)
    assert decoded(data).tolist() == [[list(RED)] * 2] * 2


def test_sixteen_bits_are_scaled_alike_in_grey_and_colour() -> None:
    wide = np.array([[0, 255, 256, 32_768, 65_535]])
    for data in (
        png(wide, GREY, depth=16),
        png(np.stack([wide] * 3, -1), COLOUR, depth=16),
        saved(Image.fromarray(wide.astype(np.uint16)), "TIFF"),
    ):
        assert decoded(data, colour="grey")[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("background", ["white", "black"])
def test_transparency_of_every_mode_shows_the_background(background: str) -> None:
    """Left clear, right red (or black, in grey)."""
    palette = Image.new("P", (2, 1))
    palette.putpalette([*BLUE, *RED])
    palette.putdata([0, 1])
    files = {
        "rgba": (saved(Image.fromarray(np.array([[(*BLUE, 0), (*RED, 255)]], np.uint8)), "PNG"), RED),
        "palette": (saved(palette, "PNG", transparency=0), RED),
        "palette with alphas": (saved(palette, "PNG", transparency=b"\0\xff"), RED),
        "la": (saved(Image.fromarray(np.array([[(50, 0), (0, 255)]], np.uint8), "LA"), "PNG"), BLACK),
        "grey": (png(np.array([[50, 0]]), GREY, chunk(b"tRNS", b"\0\x32")), BLACK),
        "grey16": (png(np.array([[500, 0]]), GREY, chunk(b"tRNS", b"\x01\xf4"), depth=16), BLACK),
        "colour": (png(np.array([[BLUE, RED]]), COLOUR, chunk(b"tRNS", b"\0\0\0\0\0\xff")), RED),
        "gif": (saved(palette, "GIF", transparency=0), RED),
        "webp": (
            saved(
                Image.fromarray(np.array([[(*BLUE, 0), (*RED, 255)]], np.uint8)),
                "WEBP",
                lossless=True,
                exact=True,
            ),
            RED,
        ),
    }
    under = WHITE if background == "white" else BLACK
    for name, (data, right) in files.items():
        assert decoded(data, alpha=background).tolist() == [[list(under), list(right)]], name


def test_half_transparent_is_mixed_with_the_background() -> None:
    data = saved(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG")
    assert decoded(data).tolist() == [[[204, 204, 204]]]
    assert decoded(data, alpha="black").tolist() == [[[0, 0, 0]]]


def test_alpha_is_kept_as_the_last_channel() -> None:
    half = saved(Image.new("RGBA", (1, 1), (200, 0, 0, 51)), "PNG")
    assert decoded(half, alpha="keep").tolist() == [[[200, 0, 0, 51]]]
    assert decoded(half, alpha="keep", colour="grey").tolist() == [[[60, 51]]]
    for mode, kind in (("RGB", "PNG"), ("L", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"), ("LAB", "TIFF")):
        assert decoded(saved(Image.new(mode, (2, 1)), kind), alpha="keep").shape == (1, 2, 4), mode
    grey16 = png(np.array([[500, 65_535]]), GREY, chunk(b"tRNS", b"\x01\xf4"), depth=16)
    assert decoded(grey16, alpha="keep", colour="grey").tolist() == [[[1, 0], [255, 255]]]


def test_inks_are_red_with_and_without_the_adobe_marker() -> None:
    """Adobe's inks are stored inverted; without the marker they are not, so the same bytes are the inverse."""
    red = decoded(CRAFTED["cmyk with adobe.jpg"][0]).reshape(-1, 3).mean(0)
    assert np.allclose(red, RED, atol=3)
    inverse = decoded(CRAFTED["cmyk without adobe.jpg"][0]).reshape(-1, 3).mean(0)
    assert np.allclose(inverse, BLACK, atol=3)  # all of key: black


def test_first_frame_or_page_is_shown() -> None:
    for name in ("moving.gif", "moving.png", "moving.webp", "pages.tif"):
        assert np.allclose(decoded(CRAFTED[name][0]).mean((0, 1)), RED, atol=2), name


def test_few_bits_become_the_levels_they_stand_for() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert decoded(saved(bits, "PNG"), colour="grey")[..., 0].tolist() == [[0, 255], [255, 0]]
    two_bits = png(np.array([[0b00_01_10_11]]), GREY, depth=2, sides=(1, 4))
    assert decoded(two_bits, colour="grey")[0, :, 0].tolist() == [0, 85, 170, 255]


def test_interlaced_is_the_same_picture(test_data: Path) -> None:
    path = test_data / "odd_images" / "pil123rgba.png"
    with Image.open(path) as opened:
        assert opened.info["interlace"] == 1
        right = np.asarray(opened.convert("RGBA"))
    np.testing.assert_array_equal(decoded(path, alpha="keep"), right)


def test_grey_is_the_luma_of_the_colours() -> None:
    assert decoded(saved(Image.new("RGB", (1, 1), RED), "PNG"), colour="grey").tolist() == [[[76]]]


# -- mutants -------------------------------------------------------------------------------------------


@given(
    end=st.sampled_from(["png", "jpg", "gif", "tif", "webp", "bmp", "ppm"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    cut=st.floats(0, 1),
    look=st.sampled_from(
        [{}, {"colour": "grey", "resize": 8}, {"alpha": "keep", "resize": 9, "policy": "pad"}]
    ),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_mutants_are_pixels_or_rejected(
    end: str, edits: list[tuple[float, int]], cut: float, look: dict[str, Any]
) -> None:
    data = bytearray(CRAFTED[f"whole.{end}"][0])
    for place, value in edits:
        data[int(place * len(data))] = value
    mutant = bytes(data[: len(data) if cut > 0.7 else int(cut * len(data))])
    try:
        assert decoded(mutant, **look).ndim == 3
    except Unreadable:
        rule_of(mutant, **look)  # with a reason and a remedy
