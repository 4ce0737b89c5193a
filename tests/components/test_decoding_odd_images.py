"""Decoding: each of the 40 odd images has its size and colours, or is rejected by its rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.components.decoded_files import decoded, rule_of
from tests.components.odd_files import BLACK, RED

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
