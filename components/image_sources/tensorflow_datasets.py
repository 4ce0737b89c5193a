"""The data sets of images of TensorFlow Datasets, through their own library: by name, or a prepared folder.

A name that is not prepared yet is downloaded and prepared by the library. Its splits are official parts.
Images are decoded by components.decoding, as all others are, and not by TensorFlow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from components import storage
from components.errors import DataError
from components.image_sources import Read, official_parts
from components.image_tables import LABELS, Columns, records_of
from components.modalities import Record, Rejected, location

SOURCES = {"tfds": "tfds:NAME[/CONFIG]|FOLDER  a data set of TensorFlow Datasets (extra tfds)"}
CHUNK_BYTES = 8_000_000
BATCH_ROWS = 32  # decoded at once


def preflight(source: str, read: Read) -> None:
    """Raises DataError where the library is not installed, or a folder is not there."""
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise DataError(f"data.source '{source}' needs TensorFlow Datasets: pip install 'mozart[tfds]'")
    where = location(source)
    if where[:1] in ("/", ".", "") and not Path(where).is_dir():
        raise DataError(f"data.source '{source}': there is no folder '{where}'; a name is NAME[/CONFIG]")


def files(source: str, read: Read | None = None) -> list[storage.Entry]:
    """The files of a folder; none of a name, which stands for itself."""
    where = location(source)
    return storage.listing(where) if Path(where).is_dir() else []


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB of each split."""
    where = location(source)
    builder = _builder(where)
    _columns(builder, where, read)
    chunks = []
    for split, part in official_parts(builder.info.splits).items():
        about = builder.info.splits[split]
        step = max(1, CHUNK_BYTES * about.num_examples // max(about.num_bytes, 1))
        for start in range(0, about.num_examples, step):
            stop = min(start + step, about.num_examples)
            span = {"split": split, "part": part, "start": start, "stop": stop}
            chunks.append({"scheme": "tfds", "where": where, **span})
    return chunks


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of some examples of a split, decoded a few at a time."""
    import tensorflow_datasets as tfds

    builder = _builder(chunk["where"])
    columns = _columns(builder, chunk["where"], options)
    examples = builder.as_dataset(
        split=tfds.core.ReadInstruction(chunk["split"], from_=chunk["start"], to=chunk["stop"], unit="abs"),
        decoders=tfds.decode.PartialDecoding(
            dict.fromkeys(columns.read, True), {columns.image: tfds.decode.SkipDecoding()}
        ),
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        shuffle_files=False,
    )
    first = chunk["start"]
    for rows in examples.batch(BATCH_ROWS).as_numpy_iterator():
        count = len(rows[columns.image])
        keys = [f"{chunk['split']}/{i:07d}" for i in range(first, first + count)]
        batch = pa.table({name: pa.array(_plain(rows[name], name == columns.image)) for name in columns.read})
        yield from records_of(batch, columns, keys, chunk["part"], options)
        first += count


def _plain(values: Any, image: bool) -> list[Any]:
    """NumPy's scalars and TensorFlow's strings, which are bytes, as Python's own."""
    values = values.tolist()
    return values if image else [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]


@cache
def _builder(where: str) -> Any:
    """The library's builder of a prepared data set.

    Raises:
        DataError: there is none of that name, or it is not prepared and cannot be; with the remedy.
    """
    import tensorflow_datasets as tfds

    try:
        if Path(where).is_dir():
            return tfds.builder_from_directory(where)
        builder = tfds.builder(where)
        if not builder.is_prepared():
            builder.download_and_prepare()
        return builder
    except Exception as error:  # whatever the library, a download or the network raise
        said = str(error).strip().split("\n")[0] or type(error).__name__
        raise DataError(
            f"the data set '{where}' of TensorFlow Datasets cannot be loaded ({said}). Without network: where there is "
            f"one, run tfds.load('{where}', data_dir=FOLDER), copy FOLDER and read tfds:FOLDER/{where}/VERSION"
        ) from error


def _columns(builder: Any, where: str, read: Read) -> Columns:
    """Which features are the image, the label and the caption.

    Raises:
        DataError: there is none, or not of the kind.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    images = [name for name in sorted(features) if isinstance(features[name], tfds.features.Image)]
    listed = ", ".join(sorted(features))
    if not images:
        raise DataError(f"'{where}' has the features {listed}, of which none is an image")
    for option, name in (("labels", read.labels), ("captions", read.captions)):
        if name and name not in features:
            raise DataError(f"'{where}' has no feature '{name}' (data.read.{option}): {listed}")
    label = read.labels or next((name for name in LABELS if name in features), None)
    if label and features[label].shape != ():
        raise DataError(
            f"'{where}': feature '{label}' is of shape {features[label].shape}: a label is one word"
        )
    names = getattr(features[label], "names", None) if label else None
    return Columns(
        "image" if "image" in images else images[0], label, read.captions or None, list(names or [])
    )
