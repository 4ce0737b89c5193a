"""A registry with a published model, and its service, as the tests of serving use them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from components.artifacts import read_json
from components.registry import Registry, Version
from components.serving.batching import Batcher
from components.serving.current import Current, Served, warm
from components.serving.service import service
from components.signing import public_key, sign
from keras_models import build
from keras_models.spec import Spec
from tests.components.publishing import copy_of_bundle, other_bundle


def publish(registry: Registry, bundle: Path) -> Version:
    """The bundle becomes the next version of `tiny`, signed, and its champion."""
    sign(bundle, registry.home)
    champion = registry.champion("tiny")
    facts = {name: read_json(bundle / f"{name}.json") for name in ("evaluation", "provenance")}
    version = registry.register("tiny", bundle, facts["evaluation"], facts["provenance"], "test")
    assert registry.promote(version, champion.version if champion else None, "test")
    return version


def registry_with_tiny(root: Path) -> Registry:
    """A registry in `root`, whose `tiny` has one version."""
    registry = Registry(root / "home")
    publish(registry, copy_of_bundle(registry.bundles))
    return registry


def publish_another(registry: Registry, seed: int) -> Version:
    """Another model as the next version of `tiny`."""
    registry.bundles.mkdir(exist_ok=True)
    return publish(registry, other_bundle(registry.bundles, seed))


def current_of(registry: Registry) -> Current:
    """The champion of `tiny`, as the service has it; looked up again only when a test does it."""
    return Current("tiny@champion", registry, public_key(registry.home), seconds=3600)


@contextlib.contextmanager
def client_of(current: Current, **limits: Any) -> Iterator[TestClient]:
    """A client of the service in this process."""
    with TestClient(service(current, **limits), raise_server_exceptions=False) as client:
        yield client


def fitted(family: str, spec: Spec) -> Served:
    """A model of any family, of examples by chance."""
    model = build(family, spec, seed=1)
    version = Version(family, 1, Path(), "ab" * 32, (), {}, {}, datetime.now(UTC))
    return warm(version, model, {"modality": "images"})


@contextlib.contextmanager
def batcher_of(served: Served, **limits: int) -> Iterator[Batcher]:
    """A batcher that is closed in the end."""
    batcher = Batcher(lambda: served, **limits)
    try:
        yield batcher
    finally:
        batcher.close()


def images(n: int, seed: int = 0) -> np.ndarray:
    """Examples of `tiny`."""
    return np.random.default_rng(seed).random((n, 2, 2, 1)).astype(np.float32)
