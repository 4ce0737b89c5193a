"""Snapshots: the whole state or nothing; a torn file is passed over for the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import ResourceError
from components.snapshot import KEPT, Snapshots

ROWS = [{"epoch": 1, "loss": 0.1 + 0.2}]


@pytest.fixture(scope="module")
def model() -> Any:
    """A tiny DCGAN: two optimizers, a moving average, a seed generator and means, all in one state."""
    from keras_models import build, describe
    from keras_models.spec import Spec

    config = describe("dcgan").config.parse({"latent": 2, "width": 4})
    model = build("dcgan", Spec(kind="image", shape=(4, 4, 1)), config)
    model.compile()
    return model


def fill(model: Any, seed: int) -> list[np.ndarray]:
    """Sets the state to values of their own, for each seed others, and returns them."""
    random = np.random.default_rng(seed)
    for variable in model.training_state():
        variable.assign((random.random(variable.shape) * 100).astype(variable.dtype))
    return state(model)


def state(model: Any) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.training_state()]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def written(model: Any, tmp_path: Path) -> tuple[Snapshots, list[list[np.ndarray]]]:
    """Three snapshots, of which the last two are kept, and their states."""
    snapshots = Snapshots(tmp_path / "snapshots")
    states = []
    for step in (10, 20, 1000):
        states.append(fill(model, step))
        snapshots.write(model, step, ROWS)
    fill(model, 0)
    return snapshots, states


def test_the_state_holds_both_optimizers_the_average_the_seeds_and_the_means(model: Any) -> None:
    paths = " ".join(variable.path for variable in model.training_state())
    for part in ("generator_ema", "seed_generator_state", "momentum", "velocity", "iteration", "loss"):
        assert part in paths
    sizes = [len(optimizer.variables) for optimizer in model.optimizers()]
    assert len(sizes) == 2
    assert len(model.training_state()) >= len(model.weights) + sum(sizes)


def test_the_newest_is_restored_exactly_and_only_the_last_two_are_kept(model: Any, written: Any) -> None:
    snapshots, states = written
    assert len(list(snapshots.folder.iterdir())) == KEPT == 2
    assert snapshots.restore(model) == (1000, ROWS)
    assert equal(state(model), states[-1])


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda body: body[: int(share * len(body))]


def flip(share: float) -> Callable[[bytes], bytes]:
    def damage(body: bytes) -> bytes:
        at = int(share * (len(body) - 1))
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]

    return damage


DAMAGES = {
    "empty": cut(0),
    "cut in the header": cut(0.05),
    "cut in the middle": cut(0.5),
    "without the last bytes": cut(0.999),
    "zeros at the end": lambda body: body[:-64] + bytes(64),
    "a bit in the length of the header": flip(0),
    "a bit in the tensors": flip(0.9),
    "the last bit": flip(1),
    "no snapshot": lambda body: b"\x02\0\0\0\0\0\0\0{}",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_snapshot_is_passed_over_for_the_one_before(model: Any, written: Any, damage: str) -> None:
    snapshots, states = written
    before, newest = sorted(snapshots.folder.iterdir())
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    assert snapshots.restore(model) == (20, ROWS)
    assert equal(state(model), states[1])
    before.write_bytes(DAMAGES[damage](before.read_bytes()))
    untouched = fill(model, 5)
    assert snapshots.restore(model) == (0, [])
    assert equal(state(model), untouched)


def test_a_half_written_one_of_a_killed_process_is_no_snapshot(model: Any, written: Any) -> None:
    snapshots, _ = written
    (snapshots.folder / "000002000.1.tmp").write_bytes(b"half")
    assert snapshots.restore(model)[0] == 1000
    snapshots.clear()
    assert not snapshots.folder.exists()
    assert snapshots.restore(model) == (0, [])


def test_a_full_disk_is_said_and_the_former_snapshot_stays(model: Any, tiny_disk: Path) -> None:
    snapshots = Snapshots(tiny_disk / "snapshots")
    kept = fill(model, 3)
    snapshots.write(model, 3, ROWS)
    (tiny_disk / "ballast").write_bytes(bytes(40_000))
    fill(model, 4)
    with pytest.raises(ResourceError, match=r"the disk is full while writing .*000000004\.safetensors"):
        snapshots.write(model, 4, ROWS)
    assert [file.name for file in snapshots.folder.iterdir()] == ["000000003.safetensors"]
    assert snapshots.restore(model) == (3, ROWS)
    assert equal(state(model), kept)
