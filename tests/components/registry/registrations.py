"""Registers a bundle under a name, with what it says of itself."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import read_json
from components.registry import Registry, Version


def register(registry: Registry, name: str, bundle: Path, key: str = "run-1") -> Version:
    evaluation, provenance = (read_json(bundle / f"{file}.json") for file in ("evaluation", "provenance"))
    return registry.register(name, bundle, evaluation, provenance, key)
