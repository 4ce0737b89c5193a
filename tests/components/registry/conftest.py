"""Bundles to register and a home whose database exists, made once; no server that the environment names."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry import Registry
from tests.components.publishing import other_bundle


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [other_bundle(tmp_path_factory.mktemp("bundles"), seed) for seed in (1, 2, 3, 4)]


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database exists; tests take names of their own in it."""
    home = tmp_path_factory.mktemp("home") / "with space and 100%"
    Registry(home).prepare()
    return home
