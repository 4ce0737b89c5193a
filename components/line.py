"""What a run sets out with: the state of its source, the code, the champion to beat, and one mark of all.

Here the runner looks before the first step; on a cluster a step of its own does, in every run anew, so that
a nightly run sees new data however long ago its pipeline was compiled.
"""

from __future__ import annotations

from pathlib import Path

from components.artifacts import fingerprint_of, read_json
from components.errors import ConfigError
from components.home import home
from components.ingest import source_fingerprint
from components.modalities import modality_of, name_of
from components.provenance import code_version
from components.registry import Registry
from components.settings import DataSettings, ModelSettings, TrainSettings

BLOCKS = ("name", "data", "model", "train", "evaluate", "gates", "schema")


def departure(blocks: dict[str, str]) -> dict[str, str]:
    """`source_state`, `code_version`, the version `fine_tuned`, and `line`, by which a repeated run knows that
    nothing has changed.

    `blocks` are those of the recipe, as JSON text.

    Raises:
        ConfigError, RegistryError: see fine_tuned.
    """
    given = {name: blocks[name] for name in BLOCKS}
    data = DataSettings.parse(blocks["data"])
    given["source_state"] = source_fingerprint(data)
    given["code_version"] = code_version()
    model, train = ModelSettings.parse(blocks["model"]), TrainSettings.parse(blocks["train"])
    given["fine_tuned"] = fine_tuned(home(), data, model, train)
    return {
        "source_state": given["source_state"],
        "code_version": given["code_version"],
        "fine_tuned": given["fine_tuned"],
        "line": fingerprint_of(given),
    }


def fine_tuned(home: Path, data: DataSettings, model: ModelSettings, train: TrainSettings) -> str:
    """The version that `train.fine_tune` means now, as `NAME:VERSION`; empty where there is none.

    Raises:
        ConfigError: it is of another family or another kind of data, or the recipe asks for another encoding than it has.
        RegistryError: there is no such version, or no registry.
    """
    if not train.fine_tune:
        return ""
    version = Registry(home).resolve(train.fine_tune)
    found = f"{version.name}:{version.version}"
    family = read_json(version.bundle_path / "model.json")["family"]
    if family != model.family:
        raise ConfigError(
            f"train.fine_tune: {found} is of family '{family}', and the recipe's is '{model.family}'"
        )
    encoding, kind = read_json(version.bundle_path / "encoding.json"), name_of(modality_of(data.source))
    if kind != encoding["modality"]:
        raise ConfigError(
            f"train.fine_tune: {found} learnt {encoding['modality']}, and data.source gives {kind}"
        )
    for key, asked in data.encode.items():
        if key in encoding and encoding[key] != asked:
            raise ConfigError(
                f"train.fine_tune: {found} has data.encode.{key} {encoding[key]!r}, and the recipe {asked!r}: leave it "
                "out, or set it alike"
            )
    return found


def champion_to_beat(home: Path, name: str, line: str) -> str:
    """The version that this run's model is measured against; empty where there is none.

    The champion; but when the champion came out of this very line (same data, recipe and code), the
    version that it was itself measured against: so an unchanged run finds all of its steps cached.
    """
    champion = Registry(home).champion(name)
    if champion is None:
        return ""
    if champion.tags.get("mozart.key") != line:
        return str(champion.version)
    baseline = read_json(champion.bundle_path / "evaluation.json").get("champion")
    return str(baseline["version"]) if baseline else ""


def begin_with(name: str, train: TrainSettings, champion: str, tuned: str) -> str:
    """The version that training begins with, as `NAME:VERSION`: the one fine-tuned, or where the recipe asks for a
    warm start the champion; else empty, so that another champion changes nothing of a training that starts cold."""
    return f"{name}:{champion}" if champion and train.warm_start == "champion" else tuned
