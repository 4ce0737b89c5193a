"""One pass over images: each is looked at once by the feature network, here or by workers of Beam.

What comes back are rows that every metric reads, in blocks; the same bits wherever the work was done.
"""

from __future__ import annotations

import shutil
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


class Here:
    """Features found in this process; `run` is what a comparison of pairs takes."""

    run: Run = staticmethod(here)

    def features(self, network: FeatureNetwork, images: np.ndarray, name: str) -> Rows:
        """Features of `images` `[n, H, W, C]` in [0, 1]; `name` tells the set."""
        return InMemory(network.features(images))

    def close(self) -> None:
        """Nothing is left behind."""


class InBeam:
    """Features found by workers: images and features lie in `folder`, a block a file."""

    def __init__(self, folder: Path, settings: BeamSettings) -> None:
        self.folder, self.settings = folder, settings
        self.sets = 0
        self.run: Run = Beam(folder / "pairs", settings)

    def features(self, network: FeatureNetwork, images: np.ndarray, name: str) -> Rows:
        """See Here.features.

        Raises:
            DataError: the engine lost a block.
        """
        saved = self.folder / network.name.replace("@", "-")
        if not saved.is_dir():
            network.save(saved)
        place = self.folder / f"{self.sets:03d}-{name}"
        self.sets += 1
        place.mkdir(parents=True)
        starts = range(0, len(images), IMAGES_AT_ONCE)
        for number, start in enumerate(starts):
            write_bytes(
                block_file(place, "images", number), array_bytes(images[start : start + IMAGES_AT_ONCE])
            )
        work = _Look(str(saved), str(place))
        done = run(list(range(len(starts))), work, [], place, self.settings)
        if sorted(int(number) for number, _ in done) != list(range(len(starts))):
            raise DataError(f"{len(done)} of {len(starts)} blocks of features came back: run again")
        for file in place.glob("images-*.npy"):
            file.unlink()
        return Stored(str(place), "features", len(images), done[0][1], IMAGES_AT_ONCE)

    def close(self) -> None:
        """Removes what lies in the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class _Look:
    """A block of images on disk → its features beside it; yields the block's number and their width."""

    def __init__(self, network: str, place: str) -> None:
        self.network, self.place = network, Path(place)
        self.loaded: Any = None

    def __getstate__(self) -> dict[str, Any]:  # the network is loaded where the work is done
        return {**self.__dict__, "loaded": None}

    def __call__(self, number: int) -> Iterator[tuple[str, Any]]:
        if self.loaded is None:
            self.loaded = load_feature_network(Path(self.network))
        features = self.loaded.features(np.load(block_file(self.place, "images", number)))
        write_bytes(block_file(self.place, "features", number), array_bytes(features))
        yield str(number), features.shape[1]
