"""Who takes part in a preference study, and what they made, as a page can show it.

A side is a published model (NAME, NAME@ALIAS, NAME:VERSION), a folder or file of samples made elsewhere
(images, MIDI, texts, tables of numbers), or `real`: test examples of the data that the first published
model learnt from. Their samples come as `components.study_shown` has them.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import read_json
from components.errors import ConfigError, DataError
from components.modalities import modalities
from components.study_shown import SUFFIXES, read_samples, shown

REAL = "real"


@dataclass(frozen=True)
class Taken:
    """Samples `[n]` with, for the key, where each comes from; and what could not be read."""

    shown: list[Any]
    origins: list[str]
    set_aside: list[str]


@dataclass(frozen=True)
class Published:
    """A published model, which makes as many as are asked for."""

    name: str
    kind: str
    bundle: Path
    encoding: dict[str, Any]

    def take(self, count: int, seed: int) -> Taken:
        """The samples that `mozart sample` draws with this seed. Imports TensorFlow."""
        from components.bundle import load_bundle

        drawn = load_bundle(self.bundle).sample(count, seed=seed)
        found = shown(self.kind, drawn, self.encoding)
        return Taken(found, [f"seed {seed}, sample {i}" for i in range(1, count + 1)], [])


@dataclass(frozen=True)
class Files:
    """Samples in files that anybody made."""

    name: str
    kind: str
    files: tuple[Path, ...]

    def take(self, count: int, seed: int) -> Taken:
        """As many, chosen by `seed`; fewer where there are no more."""
        found: list[Any] = []
        origins: list[str] = []
        aside: list[str] = []
        order = np.random.default_rng(seed).permutation(len(self.files))
        whole = self.kind in ("text", "series")  # a file may hold several: all are read, then chosen from
        for at in order:
            if len(found) >= count and not whole:
                break
            file = self.files[at]
            try:
                pieces = read_samples(self.kind, file)
            except (DataError, OSError) as error:
                aside.append(f"{file}: {error}")
                continue
            found += pieces
            origins += [
                file.name if len(pieces) == 1 else f"{file.name}, {i}" for i in range(1, len(pieces) + 1)
            ]
        chosen = np.random.default_rng([seed, 1]).permutation(len(found))[:count]
        return Taken([found[i] for i in chosen], [origins[i] for i in chosen], aside)


@dataclass(frozen=True)
class Real:
    """Test examples of the data that a published model learnt from, as the model saw them."""

    name: str
    kind: str
    data: Any  # DataSettings
    encoding: dict[str, Any]

    def take(self, count: int, seed: int) -> Taken:
        """As many, chosen by `seed`; fewer where there are no more."""
        import pyarrow.parquet as pq

        from components.ingest import ingest, shards_of

        module = modalities()[self.kind]
        parts = []
        with tempfile.TemporaryDirectory(prefix="mozart-study-") as folder:
            ingest(self.data, Path(folder) / "records")
            for shard in shards_of(Path(folder) / "records", "test"):
                table = pq.read_table(shard)
                if table.num_rows:
                    parts.append(self._examples(module, table))
        rows = np.concatenate(parts) if parts else np.empty(0)
        chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
        if not len(chosen):
            return Taken([], [], [])
        found = shown(self.kind, rows[chosen], self.encoding)
        return Taken(found, [f"test example {i}" for i in chosen.tolist()], [])

    def _examples(self, module: Any, table: Any) -> np.ndarray:
        try:
            arrays = module.encode(table, self.encoding)
            return np.asarray(module.batch(arrays, self.encoding, np.random.default_rng(0))["x"])
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self.name}: the model encodes these data otherwise than they are now read ({error}): name a "
                f"folder of real samples in place of '{REAL}'"
            ) from error


Side = Published | Files | Real


def sides(names: Sequence[str]) -> list[Side]:
    """Who is meant by each name; all are of one kind.

    Raises:
        ConfigError: fewer than two, one twice, different kinds, a kind that nobody can look at.
        RegistryError, DataError: no such model, and no samples are there.
    """
    if len(names) < 2:
        raise ConfigError("a study compares two models or more: name them, e.g. mozart study A B")
    folders = [name for name in names if Path(name).exists()]
    published = {name: _published(name) for name in names if name not in folders and name != REAL}
    first = next(iter(published.values()), None)
    found: list[Side] = []
    for name in names:
        if name in folders:
            found.append(_files(name))
        elif name == REAL:
            found.append(_real(first))
        else:
            found.append(published[name])
    twice = [name for name, count in Counter(side.name for side in found).items() if count > 1]
    if twice:
        raise ConfigError(f"{twice[0]} takes part twice: name different models")
    if len({side.kind for side in found}) > 1:
        told = ", ".join(f"{side.name} holds {side.kind}" for side in found)
        raise ConfigError(f"only what is of one kind can be compared: {told}")
    if found[0].kind not in SUFFIXES:
        raise ConfigError(
            f"{found[0].kind} hold nothing that a person could look at: no study is made of them"
        )
    return found


def _published(name: str) -> Published:
    from components.home import home
    from components.registry import Registry

    version = Registry(home()).resolve(name)
    encoding = read_json(version.bundle_path / "encoding.json")
    return Published(f"{version.name}:{version.version}", encoding["modality"], version.bundle_path, encoding)


def _real(model: Published | None) -> Real:
    if model is None:
        raise ConfigError(
            f"'{REAL}' means the data that a published model learnt from, and none takes part: name a folder"
        )
    from pydantic import ValidationError

    from components.settings import DataSettings

    told = read_json(model.bundle / "provenance.json")["recipe"]["data"]
    try:  # where Beam ran is of no matter here
        data = DataSettings.parse({name: value for name, value in told.items() if name != "beam"})
    except ValidationError as error:
        raise ConfigError(
            f"the recipe of {model.name} is of another Mozart, which read its data otherwise: name a folder "
            f"of real samples in place of '{REAL}'"
        ) from error
    return Real(f"{REAL} ({data.source})", model.kind, data, model.encoding)


def _files(name: str) -> Files:
    """The files of a folder, or one file; of several kinds the commonest."""
    path = Path(name)
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [
        file
        for file in inside
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    kinds = {
        kind: [file for file in files if file.name.lower().endswith(SUFFIXES[kind])] for kind in SUFFIXES
    }
    kind = max(kinds, key=lambda kind: len(kinds[kind]))
    if not kinds[kind]:
        raise DataError(
            f"{name} holds no samples: images, MIDI (.mid), texts (.txt) or tables (.csv) are shown"
        )
    return Files(name.rstrip("/") or name, kind, tuple(kinds[kind]))
