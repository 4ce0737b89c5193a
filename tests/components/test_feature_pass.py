"""The pass over images: the same features and classes to the bit, here or by workers; nothing is left behind."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from components.classifier import train_classifier
from components.encoder import train_encoder
from components.errors import DataError
from components.feature_pass import Here, InBeam, all_rows, first, moments
from components.metrics.moments import ShardedMoments
from components.metrics.rows import InMemory, read_all
from components.settings import BeamSettings
from tests.judging import digits

BLOCK = 64


@pytest.fixture(scope="module")
def network():
    data = digits()
    return train_classifier(data["x"][:300], data["label"][:300], 10, epochs=3)


@pytest.fixture(scope="module")
def images():
    return digits()["x"][300:500]


@pytest.fixture
def beam(tmp_path, monkeypatch):
    """Of one worker in this process; 200 images are four blocks."""
    monkeypatch.setattr("components.feature_pass.IMAGES_AT_ONCE", BLOCK)
    return InBeam(tmp_path / "work", BeamSettings())


def test_workers_see_what_this_process_sees(network, images, beam):
    here, there = (work.look(network, images, "samples", classes=True) for work in (Here(), beam))
    assert len(there.features) == 200
    assert there.features.width == here.features.width == 48
    assert all_rows(there.features).tobytes() == all_rows(here.features).tobytes()
    assert there.probabilities.tobytes() == here.probabilities.tobytes()
    index = np.array([199, 0, 64, 63, 64])
    np.testing.assert_array_equal(there.features.take(index), here.features.take(index))


def test_what_is_not_asked_for_or_not_known_is_none(network, images, beam):
    encoder = train_encoder(images, steps=2)
    for work in (Here(), beam):
        assert work.look(network, images[:70], "real").probabilities is None
        assert work.look(encoder, images[:70], "samples", classes=True).probabilities is None


def test_an_image_that_is_not_finite_is_nan_and_its_neighbours_are_not(network, images, beam):
    spoilt = images.copy()
    spoilt[70, 0, 0] = np.nan
    for work in (Here(), beam):
        seen = work.look(network, spoilt, "samples", classes=True)
        for rows in (all_rows(seen.features), seen.probabilities):
            assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [70]


def test_two_sets_of_one_name_lie_apart(network, images, beam):
    one, other = (beam.look(network, part, "samples") for part in (images[:80], images[80:]))
    assert all_rows(one.features).tobytes() != all_rows(other.features)[:80].tobytes()
    np.testing.assert_array_equal(all_rows(one.features), network.features(images[:80]))


def test_no_images_are_refused(network, images, beam):
    with pytest.raises(DataError, match="no samples images to look at"):
        beam.look(network, images[:0], "samples")


def test_a_worker_that_refuses_is_heard_in_its_own_words(network, images, beam):
    with pytest.raises(DataError, match=r"takes images \[8, 8, 1\]"):
        beam.look(network, images[:, :6], "samples")


def test_images_are_removed_when_looked_at_and_all_else_when_it_is_done_with(network, images, beam):
    seen = beam.look(network, images, "samples", classes=True)
    (place,) = beam.folder.glob("*-samples")
    assert {file.name.split("-")[0] for file in place.iterdir()} == {"features"}
    beam.forget(seen)
    assert not place.exists()
    beam.look(network, images, "samples")
    beam.close()
    assert not beam.folder.exists()


def test_nothing_is_left_of_a_pass_that_nobody_closed(network, images, tmp_path):
    work = InBeam(tmp_path / "work", BeamSettings())
    work.look(network, images[:20], "samples")
    assert (tmp_path / "work").exists()
    del work
    gc.collect()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("n", [1, 39, 40, 41, 99, 100, 150])
def test_the_first_rows_of_others(n):
    array = np.arange(300.0).reshape(100, 3)
    part = first(InMemory(array, 40), n)
    assert (len(part), part.width, part.block) == (min(n, 100), 3, 40)
    np.testing.assert_array_equal(all_rows(part), array[:n])
    np.testing.assert_array_equal(part.take(np.array([0, n % 2])), array[[0, n % 2]])
    assert sum(map(len, read_all(part))) == len(part)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_moments_do_not_depend_on_the_blocks(block):
    features = np.random.default_rng(0).normal(size=(500, 6))
    found, known = moments(InMemory(features, block)), ShardedMoments.of(features)
    for mine, theirs in zip(found.parts(), known.parts(), strict=True):
        assert mine.n == theirs.n
        assert mine.mean.tobytes() == theirs.mean.tobytes()
        assert mine.scatter.tobytes() == theirs.scatter.tobytes()
