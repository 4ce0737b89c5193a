"""The model that a reference means now: loaded, checked, followed when the alias moves.

Whoever serves goes on with the last good model while the registry is away or a new bundle is damaged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.artifacts import read_json
from components.bundle import load_bundle
from components.errors import MozartError
from components.pull import check_published
from components.registry import Registry, Version

if TYPE_CHECKING:
    from keras_models.base import GenerativeModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A loaded version. `draw(seed, block)` is one block of its samples, `[BLOCK, *shape]`."""

    version: Version
    model: GenerativeModel
    encoding: dict[str, Any]
    draw: Callable[[int, int], Any]


def load_served(version: Version, key: Path | None) -> Served:
    """The version, checked (its signature too, where `key` is given), loaded and warm.

    Raises:
        IntegrityError: its bundle is not what was published.
    """
    if key is not None:
        check_published(version, key)
    encoding = read_json(version.bundle_path / "encoding.json")
    return warm(version, load_bundle(version.bundle_path), encoding)


def warm(version: Version, model: GenerativeModel, encoding: dict[str, Any]) -> Served:
    """A model with its drawing compiled, before anybody waits for it."""
    import numpy as np
    import tensorflow as tf

    from keras_models.base import BLOCK

    program = tf.function(lambda seed: model.draw(BLOCK, None, seed), reduce_retracing=True, autograph=False)

    def draw(seed: int, block: int) -> Any:
        return np.asarray(program(tf.constant([seed, block], tf.int32)))

    draw(0, 0)
    return Served(version, model, encoding, draw)


class Current:
    """What `reference` means in a registry, looked up again every `seconds`."""

    def __init__(self, reference: str, registry: Registry, key: Path | None, seconds: float = 5.0) -> None:
        self._reference, self._registry, self._key = reference, registry, key
        self._seconds = seconds
        self.served = load_served(registry.resolve(reference), key)
        self.failures = 0  # look-ups in a row that brought nothing
        self._refused = ""
        self._stop = threading.Event()

    def start(self) -> None:
        """Begins to follow."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends following."""
        self._stop.set()
        self._thread.join()

    def look(self) -> bool:
        """Looks up once; whether another version is served now. What fails is logged, once each."""
        try:
            version = self._registry.resolve(self._reference)
            moved = version.digest != self.served.version.digest
            if moved or version.version != self.served.version.version:
                self.served = load_served(version, self._key)
                log.info("serving version %d of %s", version.version, version.name)
        except MozartError as error:
            self.failures += 1
            if str(error) != self._refused:
                self._refused = str(error)
                log.warning("still serving version %d: %s", self.served.version.version, error)
            return False
        self.failures, self._refused = 0, ""
        return moved

    def _follow(self) -> None:
        while not self._stop.wait(self._seconds):
            self.look()
