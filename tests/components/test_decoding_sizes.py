"""Decoding: too many pixels, too few, and what each policy makes of a resize."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.decoding import MAX_PIXELS, resized
from tests.components.decoded_files import CRAFTED, decoded, rule_of
from tests.components.odd_files import BLACK, BLUE, GREY, RED, WHITE, png, saved


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    assert rule_of(png(np.zeros((1, 1)), GREY, sides=(side, side))) == "too-many-pixels"
    assert rule_of(png(np.zeros((1, 1)), GREY, sides=(side - 1, side - 1))) == "truncated"


def test_bombs_take_no_memory() -> None:
    """Read in a process of its own, which at no time holds 400 MB."""
    code = (
        "from pathlib import Path\n"
        "from tests.components.odd_files import crafted\n"
        "from components.decoding import Look, Unreadable, pixels_of\n"
        "files = crafted()\n"
        "for name, (data, rule) in files.items():\n"
        "    if 'bomb' in name or 'huge' in name:\n"
        "        try:\n"
        "            pixels_of(data, Look())\n"
        "        except Unreadable as refused:\n"
        "            assert refused.rule == rule, (name, refused.reason)\n"
        "            print(name)\n"
        "told = Path('/proc/self/status').read_text()\n"  # ru_maxrss begins with the parent's
        "assert int(told.split('VmHWM:')[1].split()[0]) < 400_000\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n")) - 1 == 5


def test_small_images_are_refused_where_the_recipe_says_so() -> None:
    assert rule_of(CRAFTED["one row.png"][0], min_side=2) == "too-small"
    assert decoded(CRAFTED["whole.png"][0], min_side=24).shape == (24, 32, 3)


HALVES = np.repeat(np.repeat(np.array([[RED, BLUE]], np.uint8), 16, 0), 32, 1)  # 16 x 64: red, then blue


@pytest.mark.parametrize(
    ("policy", "shape", "left", "top"),
    [
        ("crop", (16, 16), RED, RED),  # the middle 16 columns
        ("stretch", (16, 16), RED, RED),
        ("fit", (4, 16), RED, RED),
        ("pad", (16, 16), RED, WHITE),
    ],
)
def test_policies_of_a_resize(policy: str, shape: tuple[int, int], left: Any, top: Any) -> None:
    image = decoded(saved(Image.fromarray(HALVES), "PNG"), resize=16, policy=policy)
    assert image.shape == (*shape, 3)
    assert image[shape[0] // 2, 0].tolist() == list(left)
    assert image[shape[0] // 2, -1].tolist() == list(BLUE)
    assert image[0, 0].tolist() == list(top)


def test_height_and_width_differ_where_both_are_named() -> None:
    data = CRAFTED["whole.png"][0]
    for policy in ("crop", "stretch", "pad"):
        assert decoded(data, resize=[12, 20], policy=policy).shape == (12, 20, 3)


def test_resize_averages_what_falls_into_one_pixel() -> None:
    """A board of single black and white pixels becomes grey; without antialiasing it stays one of both."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image = decoded(saved(Image.fromarray(board), "PNG"), resize=8, colour="grey")
    assert np.abs(image.astype(int) - 127).max() <= 3
    np.testing.assert_array_equal(resized(board[..., None], 8), image)


def test_border_is_the_background_and_clear_where_alpha_is_kept() -> None:
    data = saved(Image.fromarray(HALVES), "PNG")
    assert decoded(data, resize=16, policy="pad", alpha="black")[0, 0].tolist() == list(BLACK)
    assert decoded(data, resize=16, policy="pad", alpha="keep")[0, 0].tolist() == [0, 0, 0, 0]
    assert decoded(data, resize=16, policy="pad", colour="grey")[0, 0].tolist() == [255]


def test_clear_pixels_do_not_bleed_into_a_resize() -> None:
    """Blue lies under the clear half; a mean that forgets alpha would tint the border with it."""
    values = np.zeros((32, 32, 4), np.uint8)
    values[:, :15], values[:, 15:] = (*RED, 255), (*BLUE, 0)
    image = decoded(saved(Image.fromarray(values), "PNG"), resize=8, alpha="keep")
    assert image[..., 2].max() <= 1


def test_reduced_decoding_of_a_large_jpeg_looks_like_the_full_one() -> None:
    large = Image.effect_mandelbrot((800, 600), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    data = saved(large.filter(ImageFilter.GaussianBlur(2)), "JPEG", quality=95)
    small = decoded(data, resize=[30, 40], policy="stretch").astype(int)
    with Image.open(io.BytesIO(data)) as full:
        right = np.asarray(full.resize((40, 30), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(small - right).mean() < 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
@pytest.mark.parametrize("policy", ["crop", "fit", "pad", "stretch"])
def test_no_proportion_breaks_a_resize(shape: tuple[int, int], policy: Any) -> None:
    image = resized(np.full((*shape, 1), 200, np.uint8), (6, 8), policy)
    assert image.shape == (6, 8, 1) if policy != "fit" else max(image.shape[0] / 6, image.shape[1] / 8) == 1
    assert 200 in np.unique(image)
