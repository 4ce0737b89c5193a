"""Models of every family, what to ask of them, and their answers: for the tests of exported models."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from keras_models.base import GenerativeModel
from tests.contract import Contract

ROOT = Path(__file__).parents[3]
COUNT, SEED = 131, 7  # more than one block


def families() -> dict[str, type[Contract]]:
    """`FAMILY-CLASS` → the battery: each family, some with several kinds of data."""
    found = {}
    for file in sorted((ROOT / "tests" / "keras_models").glob("*/test_*.py")):
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Contract) and hasattr(value, "family"):
                found[f"{value.family}-{name}"] = value
    return found


def model_of(battery: type[Contract]) -> GenerativeModel:
    """A new model with the battery's spec and settings, after an epoch on its data."""
    model = battery.build(seed=3)
    model.compile(jit_compile=False)
    model.fit(battery.stream(), epochs=1, verbose=0)
    return model


def questions(
    model: GenerativeModel, signatures: dict[str, Any], data: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Signature → its inputs."""
    data = {
        "mask": np.ones_like(data["x"], np.float32),
        **data,
    }  # where nothing is missing, it may be left out
    asked: dict[str, dict[str, np.ndarray]] = {}
    for name, signature in signatures.items():
        if name == "sample":
            asked[name] = {"count": np.int32(COUNT), "seed": np.int32(SEED)}
        elif name == "sample_given":
            asked[name] = {"condition": np.arange(COUNT, dtype=np.int32) % 2, "seed": np.int32(SEED)}
        elif name == "decode":
            asked[name] = {"z": np.asarray(model.latents(20, SEED))}
        else:
            asked[name] = {key: data[key][:20] for key in signature["inputs"]}
    return asked


def answers(model: GenerativeModel, asked: dict[str, dict[str, np.ndarray]]) -> dict[str, tuple[Any, ...]]:
    """What the family itself says."""
    found = {}
    for name, inputs in asked.items():
        if name == "sample":
            said = model.sample(COUNT, seed=SEED)
        elif name == "sample_given":
            said = model.sample(COUNT, condition=inputs["condition"], seed=SEED)
        else:
            rest = dict(inputs)
            said = getattr(model, name)(rest.pop("z" if name == "decode" else "x"), **rest)
        found[name] = said if isinstance(said, tuple) else (said,)
    return found


Answers = dict[str, dict[str, np.ndarray]]


def elsewhere(how: str, folders: list[Path], asked: list[Answers]) -> list[Answers]:
    """What exported models (`exported` in each folder) say in one process that cannot import Mozart: of each,
    signature → output → array."""
    for folder, questions_of_it in zip(folders, asked, strict=True):
        flat = {
            f"{name}|{key}": value
            for name, inputs in questions_of_it.items()
            for key, value in inputs.items()
        }
        np.savez(folder / "asked.npz", **flat)
    script = Path(__file__).with_name("without_mozart.py")
    ran = subprocess.run(
        [sys.executable, "-P", str(script), how, *map(str, folders)],
        cwd=folders[0],
        env={**os.environ, "PYTHONPATH": "", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return [_answers_in(folder / "said.npz") for folder in folders]


def _answers_in(file: Path) -> Answers:
    found: Answers = {}
    for key, value in np.load(file).items():
        name, output = key.split("|")
        found.setdefault(name, {})[output] = value
    return found


def compare(found: dict[str, dict[str, np.ndarray]], own: dict[str, tuple[Any, ...]]) -> None:
    """Samples are equal to the byte; what a compiler may order otherwise, to rounding."""
    assert found.keys() == own.keys()
    for name, expected in own.items():
        assert len(found[name]) == len(expected)
        of_states = {"decode_states": ("states", "log_prob")}.get(name, tuple(found[name]))
        for output, value in zip(of_states, expected, strict=True):
            if name.startswith("sample"):
                np.testing.assert_array_equal(found[name][output], np.asarray(value), err_msg=name)
            else:
                np.testing.assert_allclose(
                    found[name][output], np.asarray(value), rtol=1e-5, atol=1e-6, err_msg=name
                )
