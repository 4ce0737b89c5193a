"""A model as two files that hold no code: `weights.safetensors` and `model.json`.

`model.json` names the family, the spec and the config; the weights are `model.variables` in
construction order. Loading rebuilds the model with Mozart's own code: nothing is unpickled.
The identity of a model is the digest over its tensors, not over a container file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from keras_models import build, describe
from keras_models.base import GenerativeModel
from keras_models.spec import Spec

WEIGHTS, MODEL = "weights.safetensors", "model.json"


def variable_names(variables: list[Any]) -> list[str]:
    """`0007.kernel`: the position makes it unique, the last word readable."""
    return [f"{i:04d}.{variable.path.rsplit('/', 1)[-1]}" for i, variable in enumerate(variables)]


def arrays_of(variables: list[Any]) -> dict[str, np.ndarray]:
    """Name → value of each variable."""
    values = (np.array(variable.numpy(), order="C") for variable in variables)
    return dict(zip(variable_names(variables), values, strict=True))


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over name, dtype, shape and bytes of each tensor, by name."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save(model: GenerativeModel, folder: Path) -> str:
    """Writes the model's two files into `folder` and returns its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = arrays_of(model.variables)
    save_file(arrays, folder / WEIGHTS)
    facts = {"family": model.family, **model.get_config(), "digest": digest(arrays)}
    (folder / MODEL).write_text(json.dumps(facts, indent=1), "utf-8")
    return facts["digest"]


def load(folder: Path) -> GenerativeModel:
    """The model in `folder`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the weights do not fit the config, or are not those that `model.json` names.
    """
    facts = json.loads((folder / MODEL).read_text("utf-8"))
    arrays = load_file(folder / WEIGHTS)
    if digest(arrays) != facts["digest"]:
        raise ValueError(f"{folder / WEIGHTS} does not hold the tensors that {MODEL} names")
    spec = Spec.model_validate_json(json.dumps(facts["spec"]))
    model = build(facts["family"], spec, describe(facts["family"]).config.parse(facts["config"]))
    model.set_arrays([arrays[name] for name in sorted(arrays)])
    return model
