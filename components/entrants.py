"""Entrants: who takes part in an evaluation: published models, and samples made by anyone in files.

A name is a published model (NAME, NAME@ALIAS, NAME:VERSION) or a source of samples of the same kind as the
data (a folder, a file, or a source as recipes write them, such as images:FOLDER).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import read_json
from components.errors import ConfigError, DataError
from components.modalities import modality_of, name_of, sources
from components.settings import DataSettings

REMEDY = {"images": "--set data.read.resize=SIDE makes them alike"}  # where shapes differ
OF_THE_DATA = (  # options of reading that samples have no use for
    "labels", "split", "fold", "validation", "test", "validation_steps", "test_steps", "context", "covariates",
)  # fmt: skip
OF_THE_EXAMPLES = ("classes", "attributes", "size_y", "caption_length", "independent", "augment")


@dataclass
class Entrant:
    """`model` is a published one; else `source` holds samples. `family` is what a table shows of it."""

    name: str
    family: str = "samples"
    version: int | None = None
    bundle: Path | None = None
    source: str = ""
    encoding: dict[str, Any] | None = field(default=None, repr=False)
    data: DataSettings | None = None  # of the recipe that made the model
    likelihood: str = "none"


def entrant(name: str) -> Entrant:
    """Who is meant by a name.

    Raises:
        ConfigError: a path at which there is nothing.
        RegistryError: no such model is published, and no such file is there.
    """
    scheme = name.split(":", 1)[0]
    if ":" in name and scheme in sources():
        return Entrant(name, source=name)
    if Path(name).exists():
        return Entrant(name, source=str(Path(name).absolute()))  # no scheme, though it be called digits
    if "/" in name or Path(name).suffix:
        raise ConfigError(f"there is no file or folder '{name}', and no model has such a name")
    from components.home import home
    from components.registry import Registry

    version = Registry(home()).resolve(name)
    folder = version.bundle_path
    facts, provenance = read_json(folder / "model.json"), read_json(folder / "provenance.json")
    return Entrant(
        f"{version.name}:{version.version}",
        facts["family"],
        version.version,
        folder,
        encoding=read_json(folder / "encoding.json"),
        data=DataSettings.parse(provenance["recipe"]["data"]),
    )


def data_meant(entrants: list[Entrant], source: str, changes: dict[str, Any]) -> DataSettings:
    """The data that entrants are measured on: `source`, or what the first published one learnt from.

    Args:
        changes: values of the data block, by its keys, such as {"read": {"resize": 32}}.

    Raises:
        ConfigError: only samples take part and no source was named.
    """
    own = next((one.data for one in entrants if one.data is not None), None)
    if own is None and not source:
        raise ConfigError(
            "samples alone do not say what they are to be like: name the real data, e.g. --data images:FOLDER"
        )
    block: dict[str, Any] = own.model_dump(mode="json") if own is not None else {"source": source}
    if source:
        if own is not None and modality_of(source) is not modality_of(own.source):
            raise ConfigError(f"--data {source} is another kind of data than {own.source}, which was learnt")
        block["source"] = source
    for key, value in changes.items():
        block[key] = {**block[key], **value} if isinstance(value, dict) and key in block else value
    return DataSettings.parse(block)


def foreign(one: Entrant, data: DataSettings, encoding: dict[str, Any], folder: Path) -> np.ndarray:
    """The samples of files `[n, *spec.shape]`, as the encoding has them: of longer texts, pieces and series
    their windows, of which none overlap. What is wrong with a file is in `folder`, where ingest set it aside.

    Raises:
        DataError: they are of another shape than the data, or what `ingest` raises.
    """
    import pyarrow.parquet as pq

    from components.ingest import SPLITS, ingest, shards_of

    modality = modality_of(data.source)
    scheme = one.source.split(":", 1)[0]
    source = one.source if scheme in sources() else f"{name_of(modality)}:{one.source}"
    alike = modality_of(source) is modality
    if not alike:
        raise ConfigError(f"{one.name} holds other data than {data.source}: they cannot be compared")
    ingest(DataSettings(source=source, read=_reading(source, data, encoding)), folder)
    plain = {key: value for key, value in encoding.items() if key not in OF_THE_EXAMPLES}
    if "stride" in encoding:  # no part of a sample is in two examples
        plain["stride"] = encoding["length"]
    if encoding["modality"] == "series":
        plain["covariates"] = {"names": [], "mean": [], "std": []}
    parts = []
    try:
        for shard in (shard for split in SPLITS for shard in shards_of(folder, split)):
            table = pq.read_table(shard)
            if table.num_rows:
                _check_voices(table, encoding)
                arrays = modality.encode(table, {**plain, "classes": []})
                batch = modality.batch(arrays, plain, np.random.default_rng(0))
                parts.append(batch["x"][_whole(batch)])
        samples = np.concatenate(parts)
    except (ValueError, LookupError) as error:
        raise _unlike(one, encoding, str(error)) from error
    if not len(samples):
        raise _unlike(one, encoding, f"none has {encoding['length']} steps without a gap")
    shape = tuple(modality.spec(encoding).shape)
    if samples.shape[1:] != shape:
        raise _unlike(one, encoding, f"they are {list(samples.shape[1:])}, the data {list(shape)}")
    return samples


def _reading(source: str, data: DataSettings, encoding: dict[str, Any]) -> dict[str, Any]:
    """The options of reading samples: those of the data, as far as they say what a sample is like."""
    read: dict[str, Any] = {key: value for key, value in data.read.items() if key not in OF_THE_DATA}
    if encoding["modality"] == "images":  # as many channels as the data have, which may be no files
        read.setdefault("colour", "grey" if encoding["size"][2] == 1 else "rgb")
    if encoding["modality"] == "series":
        if _written_here(source):
            channels = tuple(encoding["channels"])
            columns = {"channels": channels} if len(channels) > 1 else {"columns": channels}
            read = {"id": "sample", "frequency": "rows", **columns}
        read["split"] = "series"  # by time each sample would be cut in three
    return read


def _written_here(source: str) -> bool:
    """Whether `mozart sample` wrote this file of series."""
    path = Path(source.split(":", 1)[1])
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12) == b"sample,step,"


def _check_voices(table: Any, encoding: dict[str, Any]) -> None:
    """ValueError where pieces are to be four voices and are not: each one note at a time."""
    if encoding.get("form") != "voices":
        return
    from components.scores import scores_of

    for score in scores_of(table):
        notes = score.notes[np.lexsort((score.notes["onset"], score.notes["voice"]))]
        stops = notes["onset"] + notes["duration"]
        again = notes["voice"][1:] == notes["voice"][:-1]
        if notes["voice"].max(initial=0) > 3 or np.any(again & (notes["onset"][1:] < stops[:-1])):
            raise ValueError("a piece is not four voices on the channels 1 to 4, each one note at a time")


def _whole(batch: dict[str, np.ndarray]) -> np.ndarray:
    """Which examples are samples, bool `[n]`: of series those without gaps and padding."""
    if "mask" not in batch:
        return np.ones(len(batch["x"]), bool)
    return np.all(batch["mask"] > 0, axis=(1, 2))


def _unlike(one: Entrant, encoding: dict[str, Any], why: str) -> DataError:
    remedy = REMEDY.get(encoding["modality"], "write them as `mozart sample` does")
    return DataError(f"the samples of {one.name} are not like the data ({why}): {remedy}")
