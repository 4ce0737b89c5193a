"""Folders of examples as transform writes them, with a training split only, to train tiny models on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import fingerprint_of, write_json, writing
from keras_models.spec import Spec

STEPS, BATCH = 40, 4


def write_examples(out: Path, encoding: dict[str, Any], spec: Spec, arrays: dict[str, np.ndarray]) -> Path:
    """A folder as transform writes it, of a training split only."""
    with writing(out, "transform") as (folder, manifest):
        write_json(folder / "encoding.json", encoding)
        write_json(folder / "statistics.json", {"modality": encoding["modality"], "splits": {}})
        (folder / "spec.json").write_text(spec.model_dump_json(), "utf-8")
        for name, array in arrays.items():
            np.save(folder / f"train-00000.{name}.npy", array, allow_pickle=False)
        manifest["counts"] = {"train": len(arrays["x"]), "validation": 0, "test": 0}
        manifest["data_fingerprint"] = manifest["fingerprint"] = fingerprint_of(encoding, len(arrays["x"]))
    return out


def image_examples(out: Path, binarise: str, x: np.ndarray | None = None) -> Path:
    """Pictures of 8x8 (three more than whole batches), or the given."""
    if x is None:
        x = np.random.default_rng(0).integers(0, 256, (STEPS * BATCH + 3, 8, 8, 1), np.uint8)
    encoding = {"modality": "images", "size": list(x.shape[1:]), "binarise": binarise, "classes": []}
    levels = 256 if binarise == "none" else 2
    return write_examples(out, encoding, Spec(kind="image", shape=x.shape[1:], levels=levels), {"x": x})


def token_examples(out: Path, count: int = STEPS * BATCH + 3, vocabulary: int = 5) -> Path:
    """Sequences of 6 tokens; the first of each tells which example it is, as far as there are symbols."""
    x = np.random.default_rng(0).integers(0, vocabulary, (count, 6), np.int32)
    x[:, 0] = np.arange(count) % vocabulary
    encoding = {"modality": "text", "length": 6, "vocabulary": [chr(65 + i) for i in range(vocabulary)]}
    spec = Spec(kind="tokens", shape=(6,), vocabulary=vocabulary)
    return write_examples(out, encoding, spec, {"x": x, "length": np.full(count, 6, np.int32)})
