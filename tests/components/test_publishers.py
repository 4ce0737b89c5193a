"""Twenty publishers at once in a registry that nobody has opened before."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry import Registry
from tests.components.publishing import other_bundle, said, start
from tests.components.test_registry import PUBLISH

PUBLISHERS = 20


@pytest.mark.slow
def test_twenty_publishers_at_once_make_twenty_versions_one_champion_and_no_error(tmp_path: Path) -> None:
    bundles = [other_bundle(tmp_path / "made", seed) for seed in range(1, PUBLISHERS + 1)]
    home = tmp_path / "home"
    publishers = [start(PUBLISH, home, bundle, number) for number, bundle in enumerate(bundles)]
    results = [said(publisher) for publisher in publishers]  # each ends with exit code 0
    assert sorted(version for version, _ in results) == list(range(1, PUBLISHERS + 1))
    (champion,) = [version for version, promoted in results if promoted]
    registry = Registry(home)
    listed = registry.models()
    assert [version.version for version in listed if version.aliases] == [champion]
    assert {version.digest for version in listed} == {bundle.name for bundle in bundles}
    assert [move["to"] for move in registry.promotions.entries("tiny")] == [champion]
