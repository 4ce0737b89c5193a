"""PyTorch's tensors in Keras layers: a layer bears the name of the module whose weights it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

PARTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def assign(network: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Puts PyTorch's tensors into the layers of the same names: kernels turn from [out, in, h, w] to [h, w, in, out].

    Raises:
        KeyError: a tensor is missing or has another shape.
    """
    for name, variable in tensors(network).items():
        if name not in weights:
            raise KeyError(f"it has no tensor {name}")
        array = weights[name]
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if array.shape != tuple(variable.shape):
            raise KeyError(
                f"its {name} is {list(weights[name].shape)}, and should be turned {list(variable.shape)}"
            )
        variable.assign(np.asarray(array, np.float32))


def tensors(network: Any) -> dict[str, Any]:
    """PyTorch's name of each variable → the variable."""
    return {
        f"{layer.name}.{PARTS[variable.name]}": variable
        for layer in network.layers
        for variable in layer.variables
    }
