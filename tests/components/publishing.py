"""Model and evaluation folders as training and evaluation leave them, and bundles of them, made once."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from components.artifacts import MANIFEST, read_json, seal, sha256_of, write_json, writing
from components.bundle import write_bundle

ROOT = Path(__file__).parents[2]


def model_folder(out: Path, seed: int) -> Path:
    """A `model/` folder: a tiny normal with weights of its own for each seed."""
    from keras_models import build
    from keras_models.saving import save
    from keras_models.spec import Spec

    model = build("normal", Spec(kind="image", shape=(2, 2, 1), classes=("a", "b")), seed=seed)
    model.mean.assign([0.1 + 0.01 * seed, 0.5, 0.5, 0.9])
    model.scale.assign(model.scale * 0.1)
    recipe = {"name": "tiny", "data": {"source": "digits"}, "model": {"family": "normal", "config": {}}}
    with writing(out, "train") as (folder, manifest):
        save(model, folder)
        write_json(folder / "encoding.json", {"modality": "images"})
        write_json(folder / "statistics.json", {"modality": "images", "splits": {}})
        (folder / "history.csv").write_text("examples\n5\n")
        write_json(
            folder / "provenance.json",
            {
                "recipe": recipe | {"train": {"epochs": 1, "seed": seed}},
                "data_fingerprint": "0123456789abcdef",
                "code_version": "fedcba9876543210",
                "seed": seed,
                "versions": {"numpy": "2"},
                "git_commit": None,
                "environment": {"machine": "x86_64"},
                "created": "2026-01-01T00:00:00+00:00",
            },
        )
        manifest["fingerprint"] = str(seed)
    return out


def evaluation_of(model: Path, value: float = 4.5, champion: int | None = None) -> dict[str, Any]:
    """What `evaluation.json` says of a model that passes its gates."""

    def measured(number: float, split: str) -> dict[str, Any]:
        entry = {
            "value": number,
            "low": number - 0.1,
            "high": number + 0.1,
            "interval": "jackknife of 20 shards",
            "n": 64,
            "split": split,
            "seed": 3,
            "features": "cafe",
            "checkpoint": "final",
        }
        return {"classifier_fid": entry, "nats": entry | {"value": None, "features": None}}

    def apart(gap: float) -> dict[str, Any]:
        return {"value": gap, "low": gap - 0.05, "high": gap + 0.05, "interval": "paired"}

    return {
        "family": "normal",
        "model_digest": read_json(model / "model.json")["digest"],
        "metric": "classifier_fid",
        "validation": measured(value, "validation"),
        "test": measured(value + 0.1, "test"),
        "floors": {
            "diagonal normal": {"validation": measured(20.0, "validation"), "difference": apart(value - 20.0)}
        },
        "reference": {"classifier_fid": 2.2},
        "champion": None
        if champion is None
        else {
            "version": champion,
            "validation": measured(value, "validation"),
            "comparable": True,
            "difference": apart(0.0),
        },
        "verdict": {"blessed": True, "reasons": ["passed: classifier_fid is 4.5 on the validation split."]},
        "settings": {},
        "gates": {"limits": {"classifier_fid": {"max": 10.0}}},
    }


def evaluation_folder(out: Path, content: dict[str, Any]) -> Path:
    """An `evaluation/` folder."""
    with writing(out, "evaluate") as (folder, _):
        write_json(folder / "evaluation.json", content)
    return out


@cache
def workshop() -> Path:
    """A folder with `model`, `evaluation` and in `bundles` their bundle, written by two at once."""
    root = Path(tempfile.mkdtemp(prefix="mozart-publishing-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    model = model_folder(root / "model", seed=0)
    evaluation = evaluation_folder(root / "evaluation", evaluation_of(model))
    for left_behind, age in ((".1.dead.tmp", 2 * 24 * 3600), (".1.beef.tmp", 60)):
        folder = root / "bundles" / left_behind
        folder.mkdir(parents=True)
        os.utime(folder, (folder.stat().st_mtime - age,) * 2)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(write_bundle, model, evaluation, root / "bundles", "tiny") for _ in range(2)]
    write_json(root / "made.json", [str(future.result()) for future in made])
    return root


def bundle_folder() -> Path:
    """The workshop's bundle."""
    return Path(read_json(workshop() / "made.json")[0])


def copy_of_bundle(out: Path) -> Path:
    """The bundle in a folder of a test's own, which it may damage."""
    return Path(shutil.copytree(bundle_folder(), out / bundle_folder().name))


def other_bundle(out: Path, seed: int) -> Path:
    """A sound bundle of another model. Its golden samples are still those of the first."""
    folder, model = out / f"unnamed-{seed}", model_folder(out / f"model-{seed}", seed)
    shutil.copytree(bundle_folder(), folder)
    for file in ("weights.safetensors", "model.json", "provenance.json"):
        shutil.copyfile(model / file, folder / file)
    write_json(folder / "evaluation.json", evaluation_of(model, value=9.0 - seed))
    return reseal(folder)


def reseal(folder: Path) -> Path:
    """Gives a changed bundle a manifest and a name that agree with it."""
    seal(folder, {"schema": 1, "kind": "bundle", "name": "tiny"})
    return folder.rename(folder.parent / sha256_of(folder / MANIFEST))


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """`code` in a new Python process, with `arguments` as `sys.argv[1:]`; it prints one JSON value."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> Any:
    """The JSON value on its last line; its errors where it failed."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])
