"""A training that is killed goes on in a new process, to the same bytes as one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_json, reading, sha256_of
from components.examples import Examples
from components.settings import ModelSettings, TrainSettings
from components.snapshot import Snapshots
from components.train import read_history, train
from tests.components.training_examples import BATCH, STEPS, image_examples, token_examples

ROOT = Path(__file__).parents[2]
EPOCHS = 3
SETTINGS = TrainSettings(epochs=EPOCHS, batch_size=BATCH, seed=3, snapshot_steps=7)  # 5 steps in one call
CONFIGS: dict[str, dict[str, Any]] = {
    "vae": {"latent": 2, "hidden": [8]},
    "dcgan": {"latent": 2, "width": 4},
    "hmm": {"states": 3},
}
DEATHS = {"vae": signal.SIGKILL, "dcgan": signal.SIGTERM, "hmm": signal.SIGKILL}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("training")
    image_examples(root / "vae", "sample")  # fresh noise each epoch has to go on too
    image_examples(root / "dcgan", "none")
    token_examples(root / "hmm")
    return root


def learn(family: str, root: Path, home: str, settings: TrainSettings = SETTINGS) -> Path:
    """Trains with a home of its own and returns the model's folder."""
    former = os.environ.get("MOZART_HOME")
    os.environ["MOZART_HOME"] = str(root / home)
    try:
        out = root / home / "model"
        train(root / family, out, ModelSettings(family=family, config=CONFIGS[family]), settings, {})
    finally:
        os.environ.pop("MOZART_HOME")
        if former is not None:
            os.environ["MOZART_HOME"] = former
    return out


def die_after_first_snapshot(family: str, root: str) -> None:
    """What the killed processes run: a signal comes a moment after the first snapshot."""
    write = Snapshots.write

    def kill() -> None:
        time.sleep(0.001)
        os.kill(os.getpid(), DEATHS[family])

    def write_and_die(self: Snapshots, *args: Any) -> None:
        write(self, *args)
        if not threads:
            threads.append(threading.Thread(target=kill))
            threads[0].start()

    threads: list[threading.Thread] = []
    Snapshots.write = write_and_die  # type: ignore[method-assign]
    learn(family, Path(root), f"{family}-killed")


@pytest.fixture(scope="module")
def killed(root: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process a family, all at once: they are started before the first is waited for."""
    code = (
        "from tests.components.test_killed_training import die_after_first_snapshot as run; run({!r}, {!r})"
    )
    started = {
        family: subprocess.Popen(
            [sys.executable, "-c", code.format(family, str(root))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for family in CONFIGS
    }
    yield started
    for process in started.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def uninterrupted(killed: dict[str, subprocess.Popen[str]], root: Path) -> dict[str, Path]:
    return {family: learn(family, root, f"{family}-whole") for family in CONFIGS}


@pytest.mark.parametrize("family", CONFIGS)
def test_a_killed_training_goes_on_in_a_new_process_to_the_same_bytes(
    family: str,
    root: Path,
    killed: dict[str, subprocess.Popen[str]],
    uninterrupted: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    output, _ = killed[family].communicate(timeout=300)
    home = root / f"{family}-killed"
    snapshots = sorted(home.glob("snapshots/*/*.safetensors"))
    last = int(snapshots[-1].stem)
    assert 0 < last < STEPS * EPOCHS
    if DEATHS[family] == signal.SIGTERM:
        assert killed[family].returncode == 143, output[-2000:]
        assert f"stopped at step {last}; the same command goes on from there" in output
    else:
        assert killed[family].returncode == -signal.SIGKILL, output[-2000:]
    assert not (home / "model").exists()

    model = learn(family, root, f"{family}-killed")
    assert f"going on from the snapshot of step {last} of {STEPS * EPOCHS}" in capfd.readouterr().out
    whole = uninterrupted[family]
    assert sha256_of(model / "weights.safetensors") == sha256_of(whole / "weights.safetensors")
    assert read_json(model / "model.json") == read_json(whole / "model.json")
    assert (model / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert sorted(entry.name for entry in home.iterdir()) == ["model", "snapshots"]
    assert list((home / "snapshots").iterdir()) == []  # finished: nothing to go on from


def test_a_finished_training_is_a_whole_artifact(uninterrupted: dict[str, Path], root: Path) -> None:
    for family, folder in uninterrupted.items():
        assert reading(folder)["step"] == "train"
        rows = read_history(folder / "history.csv")
        assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
        assert all(np.isfinite(list(row.values())).all() for row in rows)
        provenance = read_json(folder / "provenance.json")
        assert provenance["seed"] == SETTINGS.seed
        assert provenance["data_fingerprint"] == Examples(root / family).manifest["data_fingerprint"]
        assert list((folder / "tensorboard").rglob("events*"))


def test_the_model_learnt_something(uninterrupted: dict[str, Path]) -> None:
    for family in ("vae", "hmm"):
        rows = read_history(uninterrupted[family] / "history.csv")
        assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_seed_decides_the_model(root: Path, uninterrupted: dict[str, Path]) -> None:
    digests = {read_json(uninterrupted["hmm"] / "model.json")["digest"]}
    for seed in (3, 4):
        settings = SETTINGS.model_copy(update={"seed": seed})
        digests.add(read_json(learn("hmm", root, f"seed-{seed}", settings) / "model.json")["digest"])
    assert len(digests) == 2
