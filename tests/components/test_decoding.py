"""Decoding: every odd file is an image as a person would see it, or is rejected by the rule that fits."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from components.decoding import MAX_PIXELS, Look, Unreadable, pixels_of, resized
from tests.components import odd_files
from tests.components.odd_files import BLACK, BLUE, COLOUR, GREY, RED, WHITE, chunk, crafted, png, saved

CRAFTED = crafted()


def decoded(data: bytes | Path, **look: Any) -> np.ndarray:
    return pixels_of(data, Look.parse(look))


def rule_of(data: bytes | Path, **look: Any) -> str:
    with pytest.raises(Unreadable) as refused:
        decoded(data, **look)
    assert refused.value.reason
    assert refused.value.remedy
    assert "0x" not in refused.value.reason
    return refused.value.rule


# -- the 40 odd images ---------------------------------------------------------------------------------

REJECTED = {
    "bmp_b_shortfile.bmp": "truncated",
    "broken.png": "truncated",
    "broken_data_stream.png": "truncated",
    "decompression_bomb.gif": "too-many-pixels",
    "rgba.psd": "foreign-format",
    "skimage_truncated.jpg": "truncated",
    "truncated_jpeg.jpg": "truncated",
}
DECODED = {  # (height, width), mean of red, green and blue
    "12in16bit.tif": ((100, 100), (0, 0, 0)),  # its levels end at 30 of 65,535: truly black
    "16_bit_binary.pgm": ((100, 20), (127.5, 127.5, 127.5)),
    "16bit.cropped.tif": ((64, 64), (1, 1, 1)),  # 291 to 694 of 65,535
    "anim_frame1.webp": ((82, 82), (250.5, 243.8, 243.7)),
    "apng_mode_16bit.png": ((64, 128), RED),  # the still picture
    "bw_gradient.png": ((10, 256), (127.5, 127.5, 127.5)),
    "dispose_bgnd.gif": ((100, 100), (72.5, 169.1, 246.9)),
    "exif-dpi-zerodivision.jpg": ((200, 200), (92.1, 92.1, 92.1)),
    "hopper.gif": ((128, 128), (89.7, 80.1, 95.4)),
    "hopper.webp": ((128, 128), (89.7, 80.1, 95.4)),
    "hopper_16bit.pgm": ((128, 128), (84.2, 84.2, 84.2)),
    "hopper_bad_exif.jpg": ((500, 500), (125.5, 125.5, 125.5)),
    "hopper_gray.jpg": ((128, 128), (84.7, 84.7, 84.7)),
    "hopper_orientation_2.jpg": ((128, 128), (89.7, 80.1, 95.3)),
    "hopper_orientation_3.jpg": ((128, 128), (89.7, 80.1, 95.3)),
    "hopper_orientation_6.jpg": ((128, 128), (89.7, 80.1, 95.3)),
    "hopper_orientation_8.jpg": ((128, 128), (89.7, 80.1, 95.3)),
    "i_trns.png": ((64, 64), (34.8, 34.8, 34.8)),  # 16 bits, levels below 256: black, and white where clear
    "icc_profile.png": ((57, 57), (200.8, 182.3, 170.5)),
    "iss634.gif": ((245, 245), (134.6, 136.6, 90.2)),
    "iss634.webp": ((245, 245), (134.6, 136.6, 90.2)),
    "l_trns.png": ((64, 64), (123.9, 123.9, 123.9)),
    "multipage.tiff": ((10, 10), (0, 128, 0)),  # the first of three pages
    "multiple_exif.jpg": ((1, 1), BLACK),
    "no_palette.gif": ((1, 1), BLACK),
    "p_16.png": ((128, 128), (95.6, 95.6, 95.6)),
    "p_trns_single.png": ((64, 64), (127.9, 176.3, 162.7)),
    "palette_wedge.png": ((128, 128), (87.5, 87.5, 87.5)),
    "photoshop-200dpi-broken.jpg": ((200, 200), (92.1, 92.1, 92.1)),
    "pil123rgba.png": ((150, 162), (190.4, 188.9, 172.0)),
    "pil_sample_cmyk.jpg": ((100, 100), (30.2, 5.4, 7.4)),  # a red word on black
    "skimage_chessboard_RGB_16bit.png": ((200, 200), (127.5, 127.5, 127.5)),
    "test_combine_caron_la.png": ((400, 400), (252.9, 252.9, 252.9)),
}


@pytest.fixture
def odd_images(test_data: Path) -> Path:
    return test_data / "odd_images"


def test_the_tables_name_all_40_odd_images(odd_images: Path) -> None:
    expected = (odd_images / "EXPECTED.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in expected} == REJECTED.keys() | DECODED.keys()
    assert len(REJECTED) + len(DECODED) == 40


@pytest.mark.parametrize("name", REJECTED)
def test_odd_image_is_rejected_by_its_rule(odd_images: Path, name: str) -> None:
    assert rule_of(odd_images / name) == REJECTED[name]
    assert rule_of((odd_images / name).read_bytes()) == REJECTED[name]


@pytest.mark.parametrize("name", DECODED)
def test_odd_image_has_its_size_and_colours(odd_images: Path, name: str) -> None:
    (height, width), mean = DECODED[name]
    image = decoded(odd_images / name)
    assert image.dtype == np.uint8
    assert image.shape == (height, width, 3)
    assert np.allclose(image.reshape(-1, 3).mean(0), mean, atol=0.3)
    np.testing.assert_array_equal(decoded((odd_images / name).read_bytes()), image)


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_turned_hoppers_are_the_upright_one(odd_images: Path, orientation: int) -> None:
    upright = decoded(odd_images / "hopper.webp").astype(int)
    turned = decoded(odd_images / f"hopper_orientation_{orientation}.jpg")
    assert np.abs(turned - upright).mean() < 8  # two lossy encoders
    with Image.open(odd_images / f"hopper_orientation_{orientation}.jpg") as stored:
        assert np.abs(np.asarray(stored) - upright).mean() > 30


def test_sixteen_bit_files_show_the_picture_of_eight(odd_images: Path) -> None:
    narrow = decoded(odd_images / "hopper_gray.jpg", colour="grey").astype(int)
    wide = decoded(odd_images / "hopper_16bit.pgm", colour="grey")
    assert np.abs(wide - narrow).mean() < 3
    ramp = decoded(odd_images / "16_bit_binary.pgm", colour="grey")[..., 0]
    np.testing.assert_array_equal(ramp[:, 0], np.rint(np.linspace(65_535, 0, 100)).astype(int) >> 8)
    board = decoded(odd_images / "skimage_chessboard_RGB_16bit.png")
    assert np.isin(board, (0, 255)).mean() > 0.8
    assert board.mean() == 127.5


def test_eight_bit_gradient_is_exact(odd_images: Path) -> None:
    ramp = decoded(odd_images / "bw_gradient.png", colour="grey")[..., 0]
    np.testing.assert_array_equal(ramp, np.broadcast_to(np.arange(256), (10, 256)))


def test_transparent_level_of_a_real_file_is_laid_on_the_background(odd_images: Path) -> None:
    white, black = (decoded(odd_images / "i_trns.png", colour="grey", alpha=on) for on in ("white", "black"))
    clear = white == 255
    assert 0.1 < clear.mean() < 0.9
    assert black.max() == 0
    assert white[~clear].max() == 0


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


# -- sizes ---------------------------------------------------------------------------------------------


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
