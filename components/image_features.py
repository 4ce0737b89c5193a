"""What a table of images is summarised by, and what in these summaries is odd.

Features: `size` HxWxC, `aspect` width over height, `value` (all 256 levels, counted), and of each image
`brightness` and `contrast` (mean and standard deviation of its values, 0 to 255), `red`, `green`, `blue`
(means) and whether it is `constant`. Where there are some: `class`, `attribute`, `caption_length` and
`caption_character`, `size_y` (the other image of a pair, or domain B) and `domain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.accumulators import Categorical, Feature, Numeric
from components.image_arrays import by_size
from components.modalities import Anomaly, Summary

PIECE_BYTES = 1_000_000  # pixels worked on at once: what a cache holds
COLOURS = ("red", "green", "blue")


def summarise(table: pa.Table) -> dict[str, Feature]:
    """Feature → statistics of the images of a table of records."""
    sizes: dict[str, Counter[str]] = {"size": Counter(), "size_y": Counter()}
    levels = np.zeros(256, np.int64)
    numbers: dict[str, list[np.ndarray]] = {}
    for batch in table.to_batches():
        second_domain = pc.equal(batch.column("domain"), "B").fill_null(False).to_numpy(False)
        for rows, images in by_size(batch):
            name, second = _size(images), int(second_domain[rows].sum())
            sizes["size"][name] += len(images) - second
            sizes["size_y"][name] += second
            levels += _levels(images)
            for feature, values in _of_each(images):
                numbers.setdefault(feature, []).append(values)
        for _, images in by_size(batch, "_y"):
            sizes["size_y"][_size(images)] += len(images)
    found: dict[str, Feature] = {name: Categorical.of(c) for name, c in sizes.items() if c.total()}
    found["value"] = Numeric.of_counts(np.arange(256), levels)
    for feature, parts in numbers.items():
        values = np.concatenate(parts)
        if feature == "constant":
            found[feature] = Categorical.of({"yes": int(values.sum()), "no": int((~values).sum())})
        else:
            found[feature] = Numeric.of(values)
    return dict(sorted({**found, **_words(table)}.items()))


def _words(table: pa.Table) -> dict[str, Feature]:
    """What is said of the images: classes, attributes, captions and domains, each where there are some."""
    found: dict[str, Feature] = {}
    for feature, name in (("class", "label"), ("domain", "domain")):
        column = table.column(name)
        if column.null_count < len(column):
            found[feature] = Categorical.of(column)
    attributes, captions = table.column("attributes"), table.column("caption")
    if attributes.null_count < len(attributes):
        found["attribute"] = Categorical.of(pc.list_flatten(attributes), attributes.null_count)
    if captions.null_count < len(captions):
        found["caption_length"] = Numeric.of(pc.utf8_length(captions))
        counts: Counter[str] = Counter()
        for caption in captions.drop_null().to_pylist():
            counts.update(caption)
        found["caption_character"] = Categorical.of(counts)
    return found


def _size(images: np.ndarray) -> str:
    return "x".join(map(str, images.shape[1:]))


def _pieces(images: np.ndarray) -> Iterator[np.ndarray]:
    """`[n, H, W, C]` in pieces of about a megabyte, a whole image at least."""
    rows = max(1, PIECE_BYTES // max(images[0].size, 1))
    for start in range(0, len(images), rows):
        yield images[start : start + rows]


def _levels(images: np.ndarray) -> np.ndarray:
    """How often each level occurs: int64 `[256]`.

    Pillow counts bytes faster than NumPy, and as four channels more so: equal neighbours, such as the
    black around a digit, then do not wait for one another's counter.
    """
    from PIL import Image

    counts = np.zeros(256, np.int64)
    for piece in _pieces(images):
        data = np.ascontiguousarray(piece).reshape(-1)
        fours = data.size // 4
        if fours:
            four = Image.frombuffer("CMYK", (fours, 1), data[: 4 * fours], "raw", "CMYK", 0, 1)
            counts += np.array(four.histogram()).reshape(4, 256).sum(axis=0)
        counts += np.bincount(data[4 * fours :], minlength=256)
    return counts


def _of_each(images: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers of each image, `[n]`, piece by piece."""
    height, width, channels = images.shape[1:]
    yield "aspect", np.full(len(images), width / height)
    for piece in _pieces(images):
        flat = piece.reshape(len(piece), -1)
        means = flat.sum(axis=1, dtype=np.uint64 if flat.shape[1] > 2**24 else np.uint32) / flat.shape[1]
        deviations = flat.astype(np.float32)
        deviations -= means[:, None].astype(np.float32)  # exact for a constant image: all zero
        squares = np.einsum("ij,ij->i", deviations, deviations)
        yield "brightness", means
        yield "contrast", np.sqrt(squares / np.float32(flat.shape[1]))
        yield "constant", squares == 0
        if channels == 3:
            for i, colour in enumerate(COLOURS):
                total = piece[..., i].reshape(len(piece), -1).sum(axis=1, dtype=np.uint32)
                yield colour, total / (height * width)


def anomalies(summaries: dict[str, Summary]) -> list[Anomaly]:
    """What makes these images unfit to learn from: sizes, constants, classes and halves that are missing."""
    found = [*_sizes(summaries, "size", "images"), *_sizes(summaries, "size_y", "second images")]
    constant = _feature(summaries["train"], "constant")
    if constant.count and constant.counts.get("yes", 0) == constant.count:
        found.append(
            _error("constant", "every training image is of one single value: there is nothing to learn")
        )
    return found + _classes(summaries) + _halves(summaries)


def _classes(summaries: dict[str, Summary]) -> list[Anomaly]:
    """Images without a class among those that have one, and classes that a split lacks."""
    by_split = {name: _feature(summary, "class") for name, summary in summaries.items()}
    everywhere = reduce(Categorical.merge, by_split.values(), Categorical())
    found = []
    loose = sum(summary.records for summary in summaries.values()) - everywhere.count
    if everywhere.count and loose:
        found.append(
            _error(
                "unlabelled",
                f"{loose} images have no class among {everywhere.count} that have one: "
                "move each into its class's folder, give it a row in the file of labels, or leave it out",
            )
        )
    for name, split in by_split.items():
        if lacking := sorted(set(everywhere.counts) - set(split.counts)):
            named = ", ".join(lacking[:10]) + (f" and {len(lacking) - 10} more" if len(lacking) > 10 else "")
            found.append(
                _error("missing-class", f"the {name} split has no example of class {named}: give more data")
            )
    return found


def _halves(summaries: dict[str, Summary]) -> list[Anomaly]:
    """Splits of unpaired images that lack one of the domains; pairs and captions that some records lack."""
    found = []
    for name, summary in summaries.items():
        domain = _feature(summary, "domain")
        for letter in "AB":
            if domain.count and not domain.counts.get(letter):
                found.append(
                    _error(
                        "missing-domain", f"the {name} split has no image of domain {letter}: give more data"
                    )
                )
        second = _feature(summary, "size_y").count
        if second and not domain.count and second < summary.records:
            found.append(
                _error(
                    "missing-pair", f"{summary.records - second} images of the {name} split have no partner"
                )
            )
        captions = summary.features.get("caption_length")
        if captions is not None and captions.count < summary.records:
            found.append(
                _error(
                    "missing-caption",
                    f"{summary.records - captions.count} images of the {name} split have no caption",
                )
            )
    return found


def _sizes(summaries: dict[str, Summary], feature: str, what: str) -> list[Anomaly]:
    sizes = reduce(Categorical.merge, (_feature(summary, feature) for summary in summaries.values()))
    if len(sizes.counts) < 2:
        return []
    common = ", ".join(f"{size}: {count}" for size, count in sizes.ordered()[:4])
    return [
        _error(
            "sizes",
            f"the {what} have {len(sizes.counts)} different sizes ({common}): set data.read.resize, e.g. 32",
        )
    ]


def _feature(summary: Summary, name: str) -> Any:
    return summary.features.get(name, Categorical())


def _error(rule: str, message: str) -> Anomaly:
    return Anomaly("error", rule, message)
