"""Reads what `mozart export` wrote. Needs TensorFlow and numpy; Mozart itself need not be installed.

    model = Exported("FOLDER/saved_model")
    model("sample", count=4, seed=7)["samples"]

`export.json` beside it lists the signatures. MLflow comes in through `_load_pyfunc`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Exported:
    """An exported model: call it with the name of a signature and the inputs of that."""

    def __init__(self, saved_model: str) -> None:
        import tensorflow as tf

        self._kept = tf.saved_model.load(saved_model)  # its variables live as long as it does
        self._programs = self._kept.signatures

    def __call__(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """What the signature returns, by name.

        Raises:
            ValueError: there is no such signature, or its inputs have other names.
        """
        import tensorflow as tf

        if signature not in self._programs:
            raise ValueError(f"no signature '{signature}': there are {', '.join(sorted(self._programs))}")
        program = self._programs[signature]
        wanted = program.structured_input_signature[1]
        if inputs.keys() != wanted.keys():
            raise ValueError(f"'{signature}' takes {', '.join(sorted(wanted))}, and not {', '.join(inputs)}")
        given = {name: tf.constant(np.asarray(value), wanted[name].dtype) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in program(**given).items()}


class Predictor:
    """MLflow's face of it: a table or a dictionary of columns in, an array out.

    `sample`: columns `count` and `seed`; the draws of all rows, one behind another. `sample_given`: a column
    `condition` and one `seed` for all. Of other signatures each input is a column.
    """

    def __init__(self, model: Exported) -> None:
        self._model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """The one output of the signature that `params["signature"]` names, or all by name if there are more."""
        signature = (params or {}).get("signature", "sample")
        columns = {str(name): np.stack([np.asarray(v) for v in model_input[name]]) for name in model_input}
        if signature == "sample":
            rows = zip(columns["count"], columns["seed"], strict=True)
            return np.concatenate([self._model("sample", count=n, seed=s)["samples"] for n, s in rows])
        if signature == "sample_given":
            seeds = np.unique(columns["seed"])
            if len(seeds) != 1:
                raise ValueError("'sample_given' takes one seed for all rows")
            columns["seed"] = seeds[0]
        found = self._model(signature, **columns)
        return next(iter(found.values())) if len(found) == 1 else found


def _load_pyfunc(path: str) -> Predictor:
    """What MLflow calls with the path of the SavedModel."""
    return Predictor(Exported(path))
