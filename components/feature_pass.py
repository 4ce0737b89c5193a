"""One pass over images: each is looked at once by the feature network, here or by workers of Beam.

What comes back are rows that every metric reads, in blocks; the same bits wherever the work was done.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.dataflow import run, write_bytes
from components.errors import DataError
from components.feature_networks import FeatureNetwork, load_feature_network
from components.metrics.moments import ShardedMoments
from components.metrics.pairs import Run, here
from components.metrics.rows import InMemory, Rows, read_all
from components.pairs_beam import Beam, Stored, array_bytes, block_file
from components.settings import BeamSettings

IMAGES_AT_ONCE = 1024  # a block: what one call of the network's worker looks at
IMAGES, FEATURES, CLASSES = "images", "features", "classes"  # files of a block


@dataclass(frozen=True, eq=False)
class First:
    """The first `n` of other rows."""

    rows: Rows
    n: int

    @property
    def block(self) -> int:
        """See Rows.block."""
        return self.rows.block

    @property
    def width(self) -> int:
        """See Rows.width."""
        return self.rows.width

    def __len__(self) -> int:
        return self.n

    def read(self, number: int) -> np.ndarray:
        """See Rows.read."""
        return self.rows.read(number)[: self.n - number * self.block]

    def take(self, index: np.ndarray) -> np.ndarray:
        """See Rows.take."""
        return self.rows.take(index)


def first(rows: Rows, n: int) -> Rows:
    """The first `n` rows, or all where there are no more."""
    return First(rows, n) if n < len(rows) else rows


def all_rows(rows: Rows) -> np.ndarray:
    """All rows in memory, for what cannot be done block by block."""
    return np.concatenate(list(read_all(rows)))


def moments(rows: Rows) -> ShardedMoments:
    """Moments by shard of rows of any number, of which one block is in memory."""
    found = ShardedMoments(rows.width)
    for block in read_all(rows):
        found.add(block)
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network saw: features of each image, and its class probabilities `[n, classes]` if asked for."""

    features: Rows
    probabilities: np.ndarray | None = None


class Here:
    """Images looked at in this process; `run` is what a comparison of pairs takes."""

    run: Run = staticmethod(here)

    def look(self, network: FeatureNetwork, images: np.ndarray, name: str, classes: bool = False) -> Seen:
        """What the network sees in `images` `[n, H, W, C]` in [0, 1]; `name` tells the set, and `classes`
        whether their probabilities are wanted (None of a network that knows no classes)."""
        probabilities = network.probabilities(images) if classes else None
        return Seen(InMemory(network.features(images), IMAGES_AT_ONCE), probabilities)

    def forget(self, seen: Seen) -> None:
        """Nothing lies anywhere."""

    def close(self) -> None:
        """Nothing is left behind."""


class InBeam:
    """Images looked at by workers: images and features lie in `folder`, a block a file, until this object is
    closed or gone."""

    def __init__(self, folder: Path, settings: BeamSettings) -> None:
        self.folder, self.settings = folder, settings
        self.sets = 0
        self.run: Run = Beam(folder / "pairs", settings)
        self.close = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def look(self, network: FeatureNetwork, images: np.ndarray, name: str, classes: bool = False) -> Seen:
        """See Here.look.

        Raises:
            DataError: no images, or the engine lost a block.
        """
        if not len(images):
            raise DataError(f"there are no {name} images to look at")
        saved = self.folder / network.name.replace("@", "-")
        if not saved.is_dir():
            network.save(saved)
        place = self.folder / f"{self.sets:03d}-{name}"
        self.sets += 1
        place.mkdir(parents=True)
        numbers = range(-(-len(images) // IMAGES_AT_ONCE))
        for number in numbers:
            part = images[number * IMAGES_AT_ONCE : (number + 1) * IMAGES_AT_ONCE]
            write_bytes(block_file(place, IMAGES, number), array_bytes(part))
        done = run(list(numbers), _Look(str(saved), str(place), classes), [], place, self.settings)
        if sorted(int(number) for number, _ in done) != list(numbers):
            raise DataError(f"{len(done)} of {len(numbers)} blocks of features came back: run again")
        probabilities = None
        if classes and block_file(place, CLASSES, 0).exists():
            probabilities = np.concatenate(
                [np.load(block_file(place, CLASSES, number)) for number in numbers]
            )
        for kind in (IMAGES, CLASSES):
            for file in place.glob(f"{kind}-*.npy"):
                file.unlink()
        return Seen(Stored(str(place), FEATURES, len(images), done[0][1], IMAGES_AT_ONCE), probabilities)

    def forget(self, seen: Seen) -> None:
        """Removes what `look` left."""
        assert isinstance(seen.features, Stored)
        shutil.rmtree(seen.features.folder, ignore_errors=True)


class _Look:
    """A block of images on disk → what the network sees beside it; yields its number and the features' width."""

    def __init__(self, network: str, place: str, classes: bool) -> None:
        self.network, self.place, self.classes = network, Path(place), classes
        self.loaded: Any = None

    def __getstate__(self) -> dict[str, Any]:  # the network is loaded where the work is done
        return {**self.__dict__, "loaded": None}

    def __call__(self, number: int) -> Iterator[tuple[str, Any]]:
        if self.loaded is None:
            self.loaded = load_feature_network(Path(self.network))
        images = np.load(block_file(self.place, IMAGES, number))
        features = self.loaded.features(images)
        write_bytes(block_file(self.place, FEATURES, number), array_bytes(features))
        if self.classes and (probabilities := self.loaded.probabilities(images)) is not None:
            write_bytes(block_file(self.place, CLASSES, number), array_bytes(probabilities))
        yield str(number), features.shape[1]
