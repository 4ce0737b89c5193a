"""Export: a published model in a form that TensorFlow or MLflow runs, without Mozart.

<out>/saved_model/                 the SavedModel and its signatures (components.serving.saved_model)
<out>/MLmodel  requirements.txt    an MLflow model of flavour python_function: no pickle, but a loader
<out>/code/mozart_exported.py      which reads the SavedModel
<out>/encoding.json  card.md  provenance.json
<out>/export.json                  which version this is, the signatures, and what was left out
<out>/manifest.json                SHA-256 of every other file
"""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from components.artifacts import write_json, writing
from components.bundle import load_bundle
from components.errors import ConfigError
from components.provenance import now
from components.registry import Version

LOADER = "mozart_exported"
TAKEN_ALONG = ("encoding.json", "card.md", "provenance.json")


def export(version: Version, out: Path) -> dict[str, Any]:
    """Writes the exported form of a version into the folder `out` and returns what `export.json` says.

    Raises:
        ConfigError: `out` is there already.
        IntegrityError: the bundle is not what was published. ResourceError: `out` cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} is there already: name a folder that is not")
    model = load_bundle(version.bundle_path)
    from components.serving.saved_model import save

    with writing(out, "export") as (folder, manifest):
        facts = {
            "name": version.name,
            "version": version.version,
            "bundle": version.digest,
            "family": model.family,
            "likelihood": model.likelihood,
            "spec": model.spec.model_dump(mode="json"),
            **save(model, folder / "saved_model"),
        }
        for name in TAKEN_ALONG:
            shutil.copyfile(version.bundle_path / name, folder / name)
        write_json(folder / "export.json", facts)
        _write_mlflow(folder, version)
        manifest["fingerprint"] = version.digest
    return facts


def _write_mlflow(folder: Path, version: Version) -> None:
    """What MLflow wants beside the SavedModel. Written out, as its own `save_model` needs pandas."""
    import platform

    import yaml

    (folder / "code").mkdir()
    shutil.copyfile(Path(__file__).with_name(f"{LOADER}.py"), folder / "code" / f"{LOADER}.py")
    needs = [f"{package}=={version_of(package)}" for package in ("tensorflow", "numpy")]
    (folder / "requirements.txt").write_text("\n".join(["mlflow", *needs]) + "\n", "utf-8")
    python = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(python), "utf-8")
    parameter = {"name": "signature", "type": "string", "default": "sample", "shape": None}
    said = {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "code": "code",
                "data": "saved_model",
                "env": {"virtualenv": "python_env.yaml"},
                "python_version": python["python"],
            }
        },
        "metadata": {"name": version.name, "version": version.version, "bundle": version.digest},
        "mlflow_version": version_of("mlflow-skinny"),
        "model_uuid": version.digest[:32],
        "signature": {"inputs": None, "outputs": None, "params": json.dumps([parameter])},
        "utc_time_created": now(),
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
