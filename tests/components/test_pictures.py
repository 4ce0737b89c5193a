"""Pictures for a page: small ones as they are, large ones made smaller, texts in pieces."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from components.pictures import PICTURE_BYTES, show


def test_small_picture_is_shown_as_it_is(tmp_path):
    Image.new("L", (8, 8), 77).save(tmp_path / "samples.png")
    url = show(tmp_path)["pictures"]["samples"]
    assert (
        base64.b64decode(url.removeprefix("data:image/png;base64,"))
        == (tmp_path / "samples.png").read_bytes()
    )


def test_large_picture_is_made_smaller_even_where_it_is_noise(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "real.png")
    url = show(tmp_path)["pictures"]["real"]
    data = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    assert len(data) <= PICTURE_BYTES
    assert Image.open(io.BytesIO(data)).width >= 240


def test_a_picture_that_is_much_wider_than_high_takes_the_whole_width(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "samples.png")
    assert not show(tmp_path)["wide"]
    Image.new("L", (16, 8)).save(tmp_path / "samples.png")
    assert show(tmp_path)["wide"]


def test_samples_stand_over_their_neighbours(tmp_path):
    samples, nearest = np.zeros((64, 4, 4, 1), np.float32), np.full((16, 4, 4, 1), 0.5, np.float32)
    np.savez(tmp_path / "pictures.npz", samples=samples, nearest=nearest)
    found = show(tmp_path)["neighbours"]
    assert (found.distances, found.usual) == ([], [])  # an evaluation that kept none
    data = base64.b64decode(found.picture.split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(data)))
    scale = picture.shape[1] // (16 * 5 + 1)
    assert picture.shape == ((2 * 5 + 1) * scale, (16 * 5 + 1) * scale)
    assert picture[2 * scale, 2 * scale] == 0
    assert picture[7 * scale, 2 * scale] == 128


def test_what_has_no_neighbours_shows_none(tmp_path):
    np.savez(tmp_path / "pictures.npz", samples=np.zeros((4, 3)), real=np.zeros((4, 3)))
    assert show(tmp_path)["neighbours"] is None


def test_a_sample_nearer_than_any_real_image_to_its_neighbour_is_told_apart(tmp_path):
    images = np.zeros((16, 2, 2, 1), np.float32)
    kept = {"samples": images, "nearest": images, "traversed": np.array([7, 2])}
    np.savez(
        tmp_path / "pictures.npz",
        distances=np.array([0.9, *[1.0] * 15]),
        real_distances=np.linspace(1, 3, 21),
        **kept,
    )
    shown = show(tmp_path)
    assert shown["neighbours"].distances[:2] == [(0.9, True), (1.0, False)]
    np.testing.assert_allclose(shown["neighbours"].usual, [1.1, 2.0, 2.9])
    assert shown["traversed"] == [7, 2]


def test_reconstructions_interpolations_and_traversals_are_shown(tmp_path):
    for part in ("reconstructions", "interpolations", "traversals"):
        Image.new("L", (8, 8), 77).save(tmp_path / f"{part}.png")
    assert list(show(tmp_path)["pictures"]) == ["reconstructions", "interpolations", "traversals"]


def test_texts_are_cut_between_pieces_and_a_long_one_within(tmp_path):
    rule = "\n" + "-" * 40 + "\n"
    (tmp_path / "samples.txt").write_text(rule.join(f"{i} " + "a" * 398 for i in range(64)))
    (tmp_path / "real.txt").write_text("b" * 10_000)
    texts = show(tmp_path)["texts"]
    assert [piece[0] for piece in texts["samples"]] == ["0", "1", "2"]
    assert texts["real"] == ["b" * 1200]
