"""Training on several devices and by several workers is training on one: curves, weights, one writer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from components.devices import find_devices
from components.errors import ConfigError, ResourceError
from components.train import read_history
from keras_models.spec import Spec
from tests.components.training_examples import image_examples, token_examples, write_examples

ROOT = Path(__file__).parents[2]
TRAIN = {"epochs": 3, "batch_size": 16, "seed": 3, "snapshot_steps": 7}  # 30 steps
ROUNDING = 1e-5  # share: sums of 16 rows in another order, 30 steps long
OWN_NOISE = 0.02  # share: other noise of the same distribution; measured 0.004


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("devices")
    image_examples(root / "vae", "sample")
    image_examples(root / "dcgan", "none")
    image_examples(root / "normal", "none")
    token_examples(root / "hmm")
    token_examples(root / "markov_chain")
    labelled_examples(root / "naive_bayes")
    return root


def labelled_examples(out: Path) -> None:
    """Binary pictures of two classes."""
    rng = np.random.default_rng(0)
    x, label = rng.integers(0, 2, (163, 8, 8, 1), np.uint8) * 255, rng.integers(0, 2, 163, np.int32)
    encoding = {"modality": "images", "size": [8, 8, 1], "binarise": "threshold", "classes": ["a", "b"]}
    spec = Spec(kind="image", shape=(8, 8, 1), levels=2, classes=("a", "b"))
    write_examples(out, encoding, spec, {"x": x, "label": label})


def start(order: dict[str, Any], cluster: str = "") -> subprocess.Popen[str]:
    """A process that trains as ordered."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    if cluster:
        environment["TF_CONFIG"] = cluster
    return subprocess.Popen(
        [sys.executable, "-m", "tests.components.on_devices", json.dumps({"train": TRAIN, **order})],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it said, after it ended with this code."""
    said, _ = process.communicate(timeout=400)
    assert process.returncode == code, said[-3000:]
    return said


def start_workers(count: int, orders: list[dict[str, Any]]) -> list[subprocess.Popen[str]]:
    """The workers of one training, on loopback."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}} for i in range(count)]
    return [start(order, json.dumps(task)) for order, task in zip(orders, tasks, strict=True)]


def same_curve(found: Path, expected: Path, share: float) -> None:
    """Each value of each epoch is the same, as a share of the column's largest."""
    rows, others = read_history(found / "history.csv"), read_history(expected / "history.csv")
    assert len(rows) == len(others) == TRAIN["epochs"]
    for name in rows[0]:
        values, wanted = (np.array([row[name] for row in table]) for table in (rows, others))
        np.testing.assert_allclose(values, wanted, rtol=0, atol=share * np.abs(wanted).max(), err_msg=name)


def same_weights(found: Path, expected: Path) -> None:
    """Sums of float64 that differ in their order only."""
    wanted, weights = load_file(expected / "weights.safetensors"), load_file(found / "weights.safetensors")
    for name, array in wanted.items():
        np.testing.assert_allclose(weights[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


# -- two devices of one machine ------------------------------------------------------------------------


def test_two_devices_learn_as_one(root: Path, tmp_path: Path) -> None:
    order = {"root": str(root), "home": str(tmp_path / "home"), "out": str(tmp_path), "logical": 2}
    end(start({**order, "families": ["vae", "normal"], "devices": [1, 2], "share_noise": True}))
    for family in ("vae", "normal"):
        same_curve(tmp_path / f"{family}-2", tmp_path / f"{family}-1", ROUNDING)
    same_weights(tmp_path / "normal-2", tmp_path / "normal-1")
    provenance = json.loads((tmp_path / "vae-2" / "provenance.json").read_text("utf-8"))
    assert provenance["environment"]["devices"] == 2


@pytest.mark.slow
def test_two_optimizers_and_em_learn_as_on_one_device_and_what_one_keeps_for_itself_is_refused(
    root: Path, tmp_path: Path
) -> None:
    order = {"root": str(root), "home": str(tmp_path / "home"), "out": str(tmp_path), "logical": 2}
    families = ["dcgan", "hmm", "naive_bayes", "markov_chain"]
    said = end(start({**order, "families": families, "devices": [1, 2], "share_noise": True}), code=2)
    for family in ("dcgan", "hmm", "naive_bayes"):
        same_curve(tmp_path / f"{family}-2", tmp_path / f"{family}-1", ROUNDING)
    same_weights(tmp_path / "naive_bayes-2", tmp_path / "naive_bayes-1")
    assert "family 'markov_chain' keeps 'markov_chain/" in said
    assert "for each device alone and learns on one device: set train.devices to 1" in said
    assert (tmp_path / "markov_chain-1").is_dir()
    assert not (tmp_path / "markov_chain-2").exists()


@pytest.mark.slow
def test_each_device_draws_noise_of_its_own(root: Path, tmp_path: Path) -> None:
    order = {"root": str(root), "home": str(tmp_path / "home"), "out": str(tmp_path), "logical": 2}
    end(start({**order, "families": ["vae"], "devices": [1, 2]}))
    same_curve(tmp_path / "vae-2", tmp_path / "vae-1", OWN_NOISE)
    with pytest.raises(AssertionError):
        same_curve(tmp_path / "vae-2", tmp_path / "vae-1", ROUNDING)


# -- two workers ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_workers_learn_as_one_device_and_the_chief_alone_writes(root: Path, tmp_path: Path) -> None:
    families = ["vae", "dcgan", "normal", "hmm"]
    order = {"root": str(root), "home": str(tmp_path / "home"), "families": families, "share_noise": True}
    outs = [{**order, "devices": [0], "out": str(tmp_path / f"worker-{i}")} for i in range(2)]
    for process in start_workers(2, outs):
        end(process)
    assert not (tmp_path / "worker-1").exists()
    assert not list((tmp_path / "home").glob("0/snapshots/*"))
    end(start({**order, "devices": [1], "out": str(tmp_path)}))
    for family in families:
        same_curve(tmp_path / "worker-0" / f"{family}-0", tmp_path / f"{family}-1", ROUNDING)


@pytest.mark.slow
def test_a_lost_worker_is_told_and_the_training_goes_on_on_one_device_or_two(
    root: Path, tmp_path: Path
) -> None:
    order = {"root": str(root), "families": ["dcgan"], "devices": [0], "share_noise": True}
    homes = [tmp_path / "home-a", tmp_path / "home-b"]
    lost = {**order, "home": str(homes[0]), "out": str(tmp_path / "lost")}
    chief, other = start_workers(2, [lost, {**lost, "die_at": 20}])
    end(other, code=-9)
    said = end(chief, code=ResourceError.exit_code)
    assert "one of 2 workers was lost after step 20 of 30, the snapshot is of step 14" in said
    assert not (tmp_path / "lost").exists() or not any((tmp_path / "lost").iterdir())
    subprocess.run(["cp", "-r", homes[0], homes[1]], check=True)

    said = end(start({**order, "home": str(homes[0]), "out": str(tmp_path / "one")}))
    assert "going on from the snapshot of step 14 of 30" in said
    again = [{**order, "home": str(homes[1]), "out": str(tmp_path / f"again-{i}")} for i in range(2)]
    for process in start_workers(2, again):
        assert "going on from the snapshot of step 14 of 30" in end(process)
    end(start({**order, "home": str(tmp_path / "home-c"), "out": str(tmp_path / "whole")}))
    same_curve(tmp_path / "again-0" / "dcgan-0", tmp_path / "whole" / "dcgan-0", ROUNDING)
    last, wanted = (read_history(tmp_path / out / "dcgan-0" / "history.csv")[-1] for out in ("one", "whole"))
    for name, value in wanted.items():  # the mean of the broken epoch weighs its parts by their devices
        assert last[name] == pytest.approx(value, rel=ROUNDING, abs=ROUNDING), name


# -- what is asked for ---------------------------------------------------------------------------------


def test_more_devices_than_there_are_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ResourceError, match=r"train\.devices is 999, and \d+ can be seen"):
        find_devices(999, 64)
    assert find_devices(1, 7).facts() == {"devices": 1, "workers": 1}


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("{", "TF_CONFIG cannot be read as a cluster and a task"),
        ('{"cluster": 7}', "TF_CONFIG cannot be read as a cluster and a task"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}}',
            "trains with tasks 'chief' and 'worker' alone",
        ),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 2}}', "names task 2 of 'worker'"),
    ],
)
def test_a_cluster_that_cannot_be_meant_is_one_sentence(
    told: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(ConfigError, match=sentence):
        find_devices(0, 64)


def test_a_cluster_of_one_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"index": 0}}')
    assert find_devices(1, 64).facts() == {"devices": 1, "workers": 1}
