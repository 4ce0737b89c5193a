"""What a run sets out with: the state of its source, the code, the champion to beat, and one mark of all.

Here the runner looks before the first step; on a cluster a step of its own does, in every run anew, so that
a nightly run sees new data however long ago its pipeline was compiled.
"""

from __future__ import annotations

from pathlib import Path

from components.artifacts import fingerprint_of, read_json
from components.ingest import source_fingerprint
from components.provenance import code_version
from components.registry import Registry
from components.settings import DataSettings, TrainSettings

BLOCKS = ("name", "data", "model", "train", "evaluate", "gates", "schema")


def departure(blocks: dict[str, str]) -> dict[str, str]:
    """`source_state`, `code_version` and `line`, by which a repeated run knows that nothing has changed.

    `blocks` are those of the recipe, as JSON text.
    """
    given = {name: blocks[name] for name in BLOCKS}
    given["source_state"] = source_fingerprint(DataSettings.parse(blocks["data"]))
    given["code_version"] = code_version()
    return {
        "source_state": given["source_state"],
        "code_version": given["code_version"],
        "line": fingerprint_of(given),
    }


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


def begin_with(train: TrainSettings, champion: str) -> str:
    """The version that training begins with, where the recipe asks for a warm start; else empty, so that
    another champion changes nothing of a training that starts cold."""
    return champion if train.warm_start == "champion" else ""
