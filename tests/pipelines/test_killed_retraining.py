"""A retraining killed at any moment and asked for again ends with the champion of one that nothing disturbed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.errors import NothingToDo
from components.history import History
from components.registry import Registry
from tests.pipelines.line import finish, mozart, processes, start, wait_until
from tests.pipelines.nights import RECIPE, day, written

MOMENTS = 20
COMMAND = ("run", "nightly.yaml")
WARM = RECIPE.replace(
    "model: {family: markov_chain, config: {order: 2, capacity: 4096}}\ntrain: {epochs: 1, batch_size: 8}",
    "model: {family: rnn, config: {units: 8, embedding: 4, learning_rate: 0.01}}\n"
    "train: {epochs: 4, batch_size: 8, snapshot_steps: 5, warm_start: champion}",
)


@dataclass
class Undisturbed:
    """A retraining that nothing disturbed: what stood before it, what it ended with, how long it took."""

    before: Path
    champion: tuple[int, str]
    seconds: float


def champion_of(folder: Path) -> tuple[int, str]:
    """Number and tensors of the champion."""
    version = Registry(folder / "home").champion("nightly")
    assert version is not None
    return version.version, version.tags["mozart.model_digest"]


def copied(folder: Path, out: Path) -> Path:
    return Path(shutil.copytree(folder, out, symlinks=True))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Two nights; the second begins with the weights of the first."""
    root = tmp_path_factory.mktemp("nights")
    before = root / "before"
    (before / "in").mkdir(parents=True)
    (before / "nightly.yaml").write_text(WARM, "utf-8")
    (before / "in" / f"{day(0)}.txt").write_bytes(written("good", 0, 8000))
    done = mozart(before, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    (before / "in" / f"{day(1)}.txt").write_bytes(written("good", 1, 8000))
    whole = copied(before, root / "whole")
    began = time.monotonic()
    done = mozart(whole, *COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return Undisturbed(before, champion_of(whole), time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_the_same_command_ends_with_the_same_champion(
    undisturbed: Undisturbed, tmp_path: Path, moment: int
) -> None:
    folder = copied(undisturbed.before, tmp_path / "night")
    first = champion_of(folder)
    process = start(folder, *COMMAND)
    time.sleep(random.Random(moment).uniform(0, undisturbed.seconds))
    process.send_signal(signal.SIGKILL)
    finish(process)
    wait_until(lambda: not processes(folder), 60)
    assert champion_of(folder) in (first, undisturbed.champion)

    again = mozart(folder, *COMMAND)
    assert again.returncode in (0, NothingToDo.exit_code), again.stdout + again.stderr
    assert champion_of(folder) == undisturbed.champion
    assert [entry["verdict"] for entry in _nights(folder)][-1] in ("published", "nothing-to-do")
    assert not list(folder.glob("home/snapshots/*/*"))


def _nights(folder: Path) -> list[dict[str, Any]]:
    return History(folder / "home").entries("nightly")
