"""Twenty processes publish at once to a registry that nobody has used: twenty versions and one champion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.bundle import check_bundle
from components.registry import Registry
from components.signing import SIGNATURE, public_key, verify
from tests.components.publishing import evaluation_folder, evaluation_of, model_folder, start

MANY = 20
PUBLISH = """
import json, sys
from pathlib import Path
from components.publish import publish
model, evaluation, home, out = map(Path, sys.argv[1:])
print(json.dumps(publish(model, evaluation, home, "tiny", out, key=out.name)))
"""


@pytest.mark.slow  # every publisher draws golden samples in two processes that import TensorFlow
def test_twenty_publishers_at_once_make_twenty_versions_and_one_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    folders = []
    for seed in range(MANY):
        model = model_folder(tmp_path / f"model-{seed}", seed)
        evaluation = evaluation_folder(tmp_path / f"evaluation-{seed}", evaluation_of(model))
        folders.append((model, evaluation))
    running = [
        start(PUBLISH, model, evaluation, home, tmp_path / f"release-{seed}")
        for seed, (model, evaluation) in enumerate(folders)
    ]
    releases = []
    for process in running:
        out, errors = process.communicate(timeout=1800)
        assert process.returncode == 0, errors
        releases.append(json.loads(out.splitlines()[-1]))
    assert sorted(release["version"] for release in releases) == list(range(1, MANY + 1))
    assert len({release["digest"] for release in releases}) == MANY
    champions = [release for release in releases if release["champion"]]
    registry = Registry(home)
    assert [release["version"] for release in champions] == [registry.champion("tiny").version]
    assert [version.version for version in registry.models()] == list(range(1, MANY + 1))
    assert len(registry.promotions.entries("tiny")) == 1
    for release in releases:
        folder = Path(release["bundle"])
        check_bundle(folder)
        verify(folder, public_key(home))
        assert (folder / SIGNATURE).is_file()
    assert {file.name for file in (home / "keys").iterdir()} == {"mozart.key", "mozart.pub"}
