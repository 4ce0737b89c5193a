"""Snapshots: all of a training's state in one file, from which it goes on exactly.

Keras' BackupAndRestore resets a two-optimizer model's optimizers and loses seed generators, so this
is ours: weights, every optimizer, averages, seed generators and the running means, with the step and
the learning curve so far. The data need no state: their order is a function of seed and epoch.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from components.artifacts import as_os_error, explain_os_error

KEPT = 2  # the newest may be torn by a crash of the machine; the one before is whole


class Snapshots:
    """The snapshots of one training, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, model: Any, step: int, rows: list[dict[str, float]]) -> None:
        """Writes beside, syncs and renames; keeps the last two.

        Raises:
            ResourceError: the disk is full or not writable.
        """
        from safetensors.numpy import save_file

        from keras_models.saving import arrays_of, digest

        arrays = arrays_of(model.training_state())
        facts = {"step": step, "rows": rows, "digest": digest(arrays)}
        path = self.folder / f"{step:09d}.safetensors"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(arrays, temporary, {"snapshot": json.dumps(facts)})
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except Exception as error:
            temporary.unlink(missing_ok=True)
            cause = as_os_error(error)
            if cause is None:
                raise
            raise explain_os_error(cause, path) from error
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def restore(self, model: Any) -> tuple[int, list[dict[str, float]]]:
        """Sets the model to the newest whole snapshot; returns its step and curve, (0, []) if none."""
        from safetensors import SafetensorError, safe_open

        from keras_models.base import assign
        from keras_models.saving import digest

        for path in reversed(self._files()):
            try:
                with safe_open(path, "numpy") as opened:
                    facts = json.loads(opened.metadata()["snapshot"])
                    arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            except (SafetensorError, OSError, ValueError, KeyError, TypeError):
                continue
            if digest(arrays) == facts["digest"]:
                assign(model.training_state(), [arrays[name] for name in sorted(arrays)])
                return facts["step"], facts["rows"]
        return 0, []

    def clear(self) -> None:
        """Forgets them all: the training is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))
