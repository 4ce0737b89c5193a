"""Pictures of an evaluation: neighbours with distances, paths between latents, the dimensions that matter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.evaluation_pictures import (
    DIMENSIONS,
    PATHS,
    PLACES,
    STOPS,
    latent_pictures,
    neighbours,
    traversals,
    write_pictures,
)
from components.modalities import images, text

SHAPE = (2, 2, 1)


class Linear:
    """Four pixels, of which pixel i is 0.5 + weight_i z_i; four more dimensions do nothing."""

    weights = np.array([0.01, 0.2, 0.05, 0.1])

    def latents(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)

    def decode(self, z: np.ndarray) -> np.ndarray:
        return (0.5 + self.weights * z[:, :4]).reshape(-1, *SHAPE).astype(np.float32)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        return 1 - x


def written(tmp_path: Path, model: Any) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {split: {"x": random.random((30, *SHAPE), np.float32)} for split in ("train", "test")}
    data = SimpleNamespace(modality=images, encoding={}, spec=SimpleNamespace(kind="image", shape=SHAPE))
    judge = SimpleNamespace(data=arrays, settings=SimpleNamespace(seed=0))
    samples = arrays["train"]["x"][::-1].copy()
    write_pictures(tmp_path, data, judge, model, samples)  # type: ignore[arg-type]
    with np.load(tmp_path / "pictures.npz") as kept:
        return dict(kept)


def test_a_model_with_latents_and_reconstructions_has_all_pictures(tmp_path: Path) -> None:
    kept = written(tmp_path, Linear())
    assert kept["interpolations"].shape == (PATHS, STOPS, *SHAPE)
    assert kept["traversals"].shape == (min(DIMENSIONS, 8), PLACES, *SHAPE)
    np.testing.assert_array_equal(kept["reconstructions"], 1 - kept["originals"])
    for part, (rows, columns) in {
        "reconstructions": (2, 16),
        "interpolations": (PATHS, STOPS),
        "traversals": (DIMENSIONS, PLACES),
    }.items():
        picture = Image.open(tmp_path / f"{part}.png")
        assert picture.width * (3 * rows + 1) == picture.height * (3 * columns + 1)


def test_a_model_without_them_has_samples_and_neighbours(tmp_path: Path) -> None:
    kept = written(tmp_path, object())
    assert set(kept) == {"samples", "real", "nearest", "distances", "real_distances"}
    assert {file.name for file in tmp_path.iterdir()} == {"samples.png", "real.png", "pictures.npz"}


def test_real_texts_are_shown_as_they_come_and_without_their_padding(tmp_path: Path) -> None:
    encoding = {"unit": "characters", "vocabulary": ["\ufffd", "a", "b"]}
    x = np.array([[1, 2, 0, 0], [1, 1, 2, 2], [0, 2, 0, 0]], np.int32)
    data = SimpleNamespace(modality=text, encoding=encoding, spec=SimpleNamespace(kind="tokens", shape=(4,)))
    judge = SimpleNamespace(data={"test": {"x": x, "length": np.array([2, 4, 2])}})
    write_pictures(tmp_path, data, judge, object(), x[::-1])  # type: ignore[arg-type]
    assert (tmp_path / "real.txt").read_text("utf-8") == text.RULE.join(["ab", "aabb", "\ufffdb"]) + "\n"
    assert (tmp_path / "samples.txt").read_text("utf-8") == text.RULE.join(["\ufffdb", "aabb", "ab"]) + "\n"


def test_copies_are_at_distance_0_from_their_neighbours() -> None:
    training = np.random.default_rng(0).random((40, *SHAPE))
    found = neighbours(training[[7, 3]], training[:2] + 0.01, training)
    np.testing.assert_array_equal(found["nearest"], training[[7, 3]])
    np.testing.assert_allclose(found["distances"], 0, atol=1e-6)
    np.testing.assert_allclose(found["real_distances"], 0.02, rtol=1e-3)  # √(4 · 0.01²)


def test_dimensions_of_largest_effect_come_first() -> None:
    model = Linear()
    found = traversals(model.decode, model.latents(500, 0))
    assert found["traversed"][:4].tolist() == [1, 3, 2, 0]
    first = found["traversals"][0].reshape(PLACES, 4)
    assert (np.diff(first[:, 1]) > 0).all()  # from low to high
    assert np.ptp(first[:, [0, 2, 3]], axis=0).max() == 0  # and nothing else moves


def test_interpolations_begin_and_end_at_draws_of_the_prior() -> None:
    model = Linear()
    paths = latent_pictures(model, 3)["interpolations"]
    drawn = model.decode(model.latents(500, 3))
    np.testing.assert_allclose(paths[:, 0], drawn[:PATHS], atol=1e-6)
    np.testing.assert_allclose(paths[:, -1], drawn[PATHS : 2 * PATHS], atol=1e-6)


@pytest.mark.parametrize("shape", [(500, 1), (500, 2, 2)])
def test_latents_that_are_no_vectors_are_not_drawn(shape: tuple[int, ...]) -> None:
    model = SimpleNamespace(latents=lambda n, seed: np.zeros(shape, np.float32), decode=None)
    assert latent_pictures(model, 0) == {}
