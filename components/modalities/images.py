"""Images: scikit-learn's digits, MNIST's idx files, folders of PNG and JPEG.

A record keeps the pixels as they are stored; an example is uint8 `[height, width, channels]` on a
grid of `levels`; a model is given float32 in [0, 1], binary where the recipe says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from components import idx
from components.decoding import pixels_of, resized
from components.errors import DataError
from components.modalities import Record, Rejected, location
from components.settings import Settings
from keras_models.spec import Spec

KIND = "image"
SOURCES = {
    "digits": "digits                scikit-learn's 1,797 scans of 8x8, labelled, no network",
    "idx": "idx:FOLDER            MNIST's files (*-ubyte or *-ubyte.gz); t10k is the test split",
    "images": "images:FOLDER         PNG and JPEG, class = first subfolder",
}
RECORD = [
    pa.field("pixels", pa.binary()),
    pa.field("height", pa.int32()),
    pa.field("width", pa.int32()),
    pa.field("channels", pa.int32()),
    pa.field("label", pa.string()),
]
SUFFIXES = {".png", ".jpg", ".jpeg"}
CHUNK_BYTES = 8_000_000


class Read(Settings):
    """How files become records."""

    resize: int | None = Field(None, ge=4, le=1024, description="side in pixels: centre crop, antialiased")
    colour: Literal["grey", "rgb"] = Field("rgb", description="what colour images are converted to (images:)")


class Encode(Settings):
    """How records become examples."""

    binarise: Literal["none", "threshold", "sample"] = Field(
        "none",
        description="none: grey levels; threshold: above half is 1; sample: 1 with the grey's "
        "probability, drawn afresh each epoch (dynamic binarisation)",
    )


# -- source → records ----------------------------------------------------------------------------------


def preflight(source: str) -> None:
    """Raises DataError where the source is plainly not there."""
    scheme, folder = source.split(":", 1)[0], Path(location(source))
    if scheme == "digits":
        return
    if not location(source) or not folder.is_dir():
        raise DataError(f"data.source '{source}': there is no folder '{folder}' (seen from {Path.cwd()})")
    if scheme == "idx":
        idx.pairs(folder)
    elif not files(source):
        raise DataError(f"data.source '{source}': no {', '.join(sorted(SUFFIXES))} file under '{folder}'")


def files(source: str) -> list[Path]:
    """The files behind a source, for its fingerprint."""
    scheme, folder = source.split(":", 1)[0], Path(location(source))
    if scheme == "digits":
        return []
    if scheme == "idx":
        return [file for pair in idx.pairs(folder).values() for file in pair]
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in found if not file.is_dir())


def plan(source: str, read: Read) -> list[dict[str, Any]]:
    """Chunks of about 8 MB that a worker reads by itself."""
    scheme, folder = source.split(":", 1)[0], Path(location(source))
    if scheme == "digits":
        return [{"scheme": scheme}]
    if scheme == "idx":
        chunks = []
        pairs = idx.pairs(folder)
        for part, (images, labels) in pairs.items():
            count, height, width = idx.sizes(images, labels)
            rows = max(1, CHUNK_BYTES // (height * width))
            for start in range(0, count, rows):
                chunks.append(
                    {
                        "scheme": scheme,
                        "part": part,
                        "official": part if "test" in pairs else None,  # without t10k all three are hashed
                        "images": str(images),
                        "labels": str(labels),
                        "start": start,
                        "stop": min(start + rows, count),
                    }
                )
        return chunks
    paths = files(source)
    return [
        {"scheme": scheme, "root": str(folder), "paths": [str(path) for path in paths[i : i + 256]]}
        for i in range(0, len(paths), 256)
    ]


def read(chunk: dict[str, Any], options: Read) -> Iterator[Record | Rejected]:
    """The records of one chunk; what cannot be read is set aside with the reason."""
    if chunk["scheme"] == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        grey = np.rint(data.images * (255 / 16)).astype(np.uint8)
        for i, (image, label) in enumerate(zip(grey, data.target, strict=True)):
            yield _record(f"digits/{i:05d}", image[..., None], str(label), None)
    elif chunk["scheme"] == "idx":
        images = idx.array_of(Path(chunk["images"]))[chunk["start"] : chunk["stop"]]
        labels = idx.array_of(Path(chunk["labels"]))[chunk["start"] : chunk["stop"]]
        for i, (image, label) in enumerate(zip(images, labels, strict=True), chunk["start"]):
            pixels = resized(image[..., None], options.resize)
            yield _record(f"{chunk['part']}/{i:07d}", pixels, str(label), chunk["official"])
    else:
        for path in map(Path, chunk["paths"]):
            key = path.relative_to(chunk["root"])
            label = key.parts[0] if len(key.parts) > 1 else None
            name = key.as_posix().encode("utf-8", "backslashreplace").decode()  # a name need not be UTF-8
            try:
                if name != key.as_posix():
                    raise ValueError("the file's name is not UTF-8")
                yield _record(name, pixels_of(path, options.colour, options.resize), label, None)
            except Exception as error:  # whatever Pillow raises on a foreign file is a reason, not a crash
                yield Rejected(name, f"{type(error).__name__}: {error}")


def _record(key: str, image: np.ndarray, label: str | None, part: str | None) -> Record:
    height, width, channels = image.shape
    fields = {
        "pixels": image.tobytes(),
        "height": height,
        "width": width,
        "channels": channels,
        "label": label,
    }
    return Record(key, fields, part)


# -- records → statistics ------------------------------------------------------------------------------


def summarise(table: pa.Table) -> dict[str, Any]:
    """Counts by size and class, the histogram of grey levels, the number of constant images."""
    sizes: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    histogram = np.zeros(256, np.int64)
    constant = 0
    columns = (table.column(name).to_pylist() for name in ("pixels", "height", "width", "channels", "label"))
    for pixels, height, width, channels, label in zip(*columns, strict=True):
        values = np.frombuffer(pixels, np.uint8)
        histogram += np.bincount(values, minlength=256)
        constant += bool(values.min() == values.max())
        sizes[f"{height}x{width}x{channels}"] += 1
        classes[label if label is not None else ""] += 1
    return {
        "records": table.num_rows,
        "sizes": dict(sizes),
        "classes": dict(classes),
        "histogram": histogram.tolist(),
        "constant": constant,
    }


def merge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The statistics of both."""
    return {
        "records": a["records"] + b["records"],
        "sizes": dict(sorted((Counter(a["sizes"]) + Counter(b["sizes"])).items())),
        "classes": dict(sorted((Counter(a["classes"]) + Counter(b["classes"])).items())),
        "histogram": (np.array(a["histogram"]) + np.array(b["histogram"])).tolist(),
        "constant": a["constant"] + b["constant"],
    }


def anomalies(statistics: dict[str, dict[str, Any]]) -> list[str]:
    """What makes these records unfit to learn from, as sentences."""
    found = []
    sizes = {size for split in statistics.values() for size in split["sizes"]}
    if len(sizes) > 1:
        counts = sum((Counter(split["sizes"]) for split in statistics.values()), Counter())
        common = ", ".join(f"{size}: {count}" for size, count in counts.most_common(4))
        found.append(
            f"the images have {len(sizes)} different sizes ({common}): set data.read.resize, e.g. 32"
        )
    train = statistics["train"]
    if train["records"] and train["constant"] == train["records"]:
        found.append("every training image is of one single value: there is nothing to learn")
    classes = {name for split in statistics.values() for name in split["classes"]}
    if "" in classes and len(classes) > 1:
        loose = sum(split["classes"].get("", 0) for split in statistics.values())
        found.append(f"{loose} images lie outside of the class folders: move each into its class's folder")
    for name, split in statistics.items():
        missing = classes - set(split["classes"]) - {""}
        if missing:
            found.append(
                f"the {name} split has no example of class {', '.join(sorted(missing))}: give more data"
            )
    return found


# -- records → examples --------------------------------------------------------------------------------


def fit(statistics: dict[str, dict[str, Any]], encode_options: Encode) -> dict[str, Any]:
    """The encoding, from the training split only: size, classes, how values are scaled."""
    (size,) = statistics["train"]["sizes"]
    classes = sorted(name for name in statistics["train"]["classes"] if name)
    if all(name.isdecimal() for name in classes):
        classes.sort(key=int)
    return {
        "modality": "images",
        "size": [int(side) for side in size.split("x")],
        "binarise": encode_options.binarise,
        "classes": classes,
    }


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec, kind `image`."""
    levels = 256 if encoding["binarise"] == "none" else 2
    return Spec(
        kind="image", shape=tuple(encoding["size"]), levels=levels, classes=tuple(encoding["classes"])
    )


def encode(table: pa.Table, encoding: dict[str, Any]) -> dict[str, np.ndarray]:
    """`x` uint8 `[n, H, W, C]`; `label` int32 `[n]` where there are classes."""
    shape = (table.num_rows, *encoding["size"])
    joined = b"".join(table.column("pixels").to_pylist())
    arrays = {"x": np.frombuffer(joined, np.uint8).reshape(shape)}
    if encoding["classes"]:
        index = {name: i for i, name in enumerate(encoding["classes"])}
        arrays["label"] = np.array([index[name] for name in table.column("label").to_pylist()], np.int32)
    return arrays


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`x` float32 in [0, 1]; dynamic binarisation draws from `rng`."""
    x = arrays["x"].astype(np.float32) / np.float32(255)
    if encoding["binarise"] == "threshold":
        x = (x > 0.5).astype(np.float32)
    elif encoding["binarise"] == "sample":
        x = (rng.random(x.shape, np.float32) < x).astype(np.float32)
    return {**arrays, "x": x}


# -- samples → something a person opens ----------------------------------------------------------------


def grid(samples: np.ndarray, columns: int = 0, scale: int = 0) -> Any:
    """`[n, H, W, C]` in [0, 1] as one Pillow image, a near-square grid, small images magnified."""
    from PIL import Image

    n, height, width, channels = samples.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    scale = scale or max(1, 32 // max(height, width))
    sheet = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), np.float32)
    for i, image in enumerate(samples):
        top, left = 1 + (i // columns) * (height + 1), 1 + (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = image
    pixels = np.rint(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_samples(samples: np.ndarray, encoding: dict[str, Any], out: Path) -> Path:
    """A PNG grid of `[n, H, W, C]` samples in [0, 1]."""
    out = out if out.suffix.lower() == ".png" else out.with_suffix(".png")
    grid(samples).save(out, optimize=False)
    return out
