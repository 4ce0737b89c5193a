"""Text: characters of a UTF-8 file.

A record is a block of whole lines of about 2,000 characters (so that a growing file keeps its old
blocks and their splits); an example is a window of `length` characters, the last of a block padded.
The vocabulary comes from the training split; what it lacks is the symbol of index 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from components import storage
from components.accumulators import Categorical, Numeric
from components.errors import DataError
from components.modalities import Anomaly, Record, Rejected, Summary, location
from components.settings import Settings
from keras_models.spec import Spec

KIND = "tokens"
SOURCES = {"text": "text:FILE             a UTF-8 file, characters"}
RECORD = [pa.field("text", pa.string())]
CONTENT = ["text"]
CHUNK_BYTES = 4_000_000
UNKNOWN = "\ufffd"  # shown for a character that the training split does not have


class Read(Settings):
    """How a file becomes records."""

    block: int = Field(2000, ge=16, le=1_000_000, description="least bytes of a block of whole lines")


class Encode(Settings):
    """How records become examples."""

    length: int = Field(128, ge=2, le=65_536, description="characters in one example")


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the file is not there or empty."""
    path = Path(location(source))
    if not location(source) or not path.is_file():
        raise DataError(f"data.source '{source}': there is no file '{path}' (seen from {Path.cwd()})")
    if path.stat().st_size == 0:
        raise DataError(f"data.source '{source}': the file '{path}' is empty")


def files(source: str) -> list[storage.Entry]:
    """The file behind a source, for its fingerprint."""
    return storage.listing(location(source))


def plan(source: str, options: Read) -> list[dict[str, Any]]:
    """Chunks of whole blocks, as byte ranges."""
    path = Path(location(source))
    starts, size = [], 0
    with path.open("rb") as stream:
        position = start = 0
        for line in stream:
            position += len(line)
            size = position - start
            if size >= options.block:
                starts.append([start, position])
                start = position
        if position > start:
            starts.append([start, position])
    per_chunk = max(1, CHUNK_BYTES // max(options.block, 1))
    return [
        {"path": str(path), "blocks": starts[i : i + per_chunk]} for i in range(0, len(starts), per_chunk)
    ]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The blocks of one chunk; one that is not UTF-8 is set aside with the byte's place."""
    path = Path(chunk["path"])
    with path.open("rb") as stream:
        for start, stop in chunk["blocks"]:
            key = f"{path.name}@{start:012d}"
            stream.seek(start)
            try:
                text = stream.read(stop - start).decode("utf-8")
            except UnicodeDecodeError as error:
                reason = f"not UTF-8 at byte {start + error.start}: {error.reason}"
                yield Rejected(key, "not-utf8", reason, "save the file as UTF-8")
                continue
            yield Record(key, {"text": text if start else text.removeprefix("\ufeff")})


def summarise(table: pa.Table) -> dict[str, Any]:
    """Each character, and the characters and lines of a record."""
    counts: Counter[str] = Counter()
    lengths, lines = [], []
    for text in table.column("text").to_pylist():
        counts.update(text)
        lengths.append(len(text))
        lines.append(text.count("\n"))
    return {
        "character": Categorical.of(counts),
        "length": Numeric.of(np.array(lengths, np.int64)),
        "lines": Numeric.of(np.array(lines, np.int64)),
    }


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """A training text of one character."""
    if len(summaries["train"].features["character"].counts) == 1:
        message = "the training text repeats one single character: there is nothing to learn"
        return [Anomaly("error", "one-symbol", message)]
    return []


def examples(summary: Summary, encode: Encode) -> int:
    """The least number of windows that the blocks of one split give."""
    return max(summary.records, summary.features["character"].count // encode.length)


def fit(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The encoding: the vocabulary of the training split, the unknown symbol first."""
    characters = set(summaries["train"].features["character"].counts)
    return {
        "modality": "text",
        "length": encode.length,
        "vocabulary": [UNKNOWN, *sorted(characters - {UNKNOWN})],
    }


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `tokens`."""
    return Spec(kind="tokens", shape=(encoding["length"],), vocabulary=len(encoding["vocabulary"]))


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` int32 `[n, length]` and `length` int32 `[n]`: consecutive windows of each block."""
    index = {symbol: i for i, symbol in enumerate(encoding["vocabulary"])}
    window = encoding["length"]
    rows, lengths = [], []
    for text in table.column("text").to_pylist():
        ids = np.array([index.get(symbol, 0) for symbol in text], np.int32)
        for start in range(0, len(ids), window):
            piece = ids[start : start + window]
            rows.append(np.pad(piece, (0, window - len(piece))))
            lengths.append(len(piece))
    return {
        "x": np.array(rows, np.int32).reshape(-1, window),
        "length": np.array(lengths, np.int32),
    }


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Tokens are given as they are."""
    return dict(arrays)


def decode(samples: np.ndarray, encoding: dict[str, Any]) -> list[str]:
    """`[n, length]` token ids → n strings."""
    symbols = encoding["vocabulary"]
    return ["".join(symbols[token] for token in row) for row in samples]


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A UTF-8 text file, the samples apart by a ruled line."""
    out = out if out.suffix.lower() == ".txt" else out.with_suffix(".txt")
    out.write_text(("\n" + "-" * 40 + "\n").join(decode(samples, encoding)) + "\n", "utf-8")
    return out
