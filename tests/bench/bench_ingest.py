"""How fast data come in and reach the model: run by hand on a quiet machine.

    python tests/bench/bench_ingest.py [mnist] [png] [stream] [--rounds 3]

* mnist: 70,000 images from idx files to shards (split, order, digests, duplicates, Parquet), against the
  same work per element in Beam (target: >= 10x) and without Beam (target: >= 0.6x).
* png: a folder of 20,000 PNG files, against a bare Pillow loop over them (target: >= 0.65x).
* stream: images a second that `tf.data` delivers, against what the DCGAN of digits and of MNIST consumes
  in a training step (target: >= 5x).

Ratios of processor seconds in one run, medians over the rounds; nothing is asserted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds of `work`."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def told(name: str, figures: list[tuple[float, float]]) -> float:
    wall, processor = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"  {name:36s} {wall:7.2f} s wall   {processor:7.2f} s of processor")
    return processor


# -- MNIST ---------------------------------------------------------------------------------------------


def without_beam(chunks: Any, read: Any, stages: Any, folder: Any, beam: Any = None) -> list[Any]:
    """What components.dataflow.run does, as loops."""
    pairs = [pair for chunk in chunks for pair in read(chunk)]
    for stage in stages:
        groups: dict[str, list[Any]] = {}
        for key, value in pairs:
            groups.setdefault(key, []).append(value)
        pairs = [pair for key, values in groups.items() for pair in stage(key, values)]
    return pairs


def per_element(source: Path, out: Path, full: bool) -> None:
    """As one writes it at first: an element is an image; Beam groups the images and writes the shards.

    With `full` also the digests, and the two searches for duplicates; else split, order and shards only.
    """
    import apache_beam as beam
    import pyarrow as pa

    from components.image_sources import idx
    from components.likeness import projected, thumbnails
    from components.runners import options
    from components.settings import BeamSettings

    pairs = idx.pairs(str(source))

    def whole(which: int) -> np.ndarray:
        paths = [pairs[part][which].path for part in ("train", "test")]
        return np.concatenate(
            [rows for path in paths for rows in idx.rows_of(path, 0, idx.shape_of(path)[0], 10_000)]
        )

    images, labels = whole(0), whole(1)

    def unit(key: str, purpose: bytes) -> float:
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=purpose).digest()
        return int.from_bytes(digest, "big") / 2**64

    def record(i: int) -> dict[str, Any]:
        key = f"{'train' if i < 60_000 else 'test'}/{i:07d}"
        row = {"key": key, "pixels": images[i].tobytes(), "label": str(labels[i])}
        at = unit(key, b"split")
        row["split"] = "test" if i >= 60_000 else "train" if at < 8 / 9 else "validation"
        row["order"] = unit(key, b"order")
        if full:
            row["digest"] = hashlib.blake2b(row["pixels"], digest_size=16).digest()
            row["signature"] = projected(thumbnails(images[i][None, :, :, None], 8)).tobytes()
        return row

    fields = [("key", pa.string()), ("pixels", pa.binary()), ("label", pa.string())]
    fields += [("digest", pa.binary())] if full else []
    with beam.Pipeline(options=options(BeamSettings())) as pipeline:
        records = pipeline | "Numbers" >> beam.Create(range(len(images))) | "Record" >> beam.Map(record)
        for split in ("train", "validation", "test"):
            (
                records
                | f"Only {split}" >> beam.Filter(lambda row, split=split: row["split"] == split)
                | f"Key {split}" >> beam.Map(lambda row: (int(row["order"] * 4), row))
                | f"Group {split}" >> beam.GroupByKey()
                | f"Sort {split}" >> beam.FlatMap(lambda kv: sorted(kv[1], key=lambda row: row["order"]))
                | f"Plain {split}" >> beam.Map(lambda row: {name: row[name] for name, _ in fields})
                | f"Write {split}"
                >> beam.io.WriteToParquet(str(out / split), pa.schema(fields), codec="zstd")
            )
        if full:
            twins = records | "Digest" >> beam.Map(lambda row: (row["digest"], row["key"]))
            twins | "Equal" >> beam.GroupByKey() | "Twins" >> beam.Filter(lambda kv: len(list(kv[1])) > 1)
            bands = records | "Bands" >> beam.FlatMap(
                lambda row: [((b, row["signature"][4 * b : 4 * b + 4]), row["key"]) for b in range(4)]
            )
            bands | "Near" >> beam.GroupByKey() | "Pairs" >> beam.Filter(lambda kv: len(list(kv[1])) > 1)


def mnist(data: Path, rounds: int) -> None:
    from components import ingest as module
    from components.settings import DataSettings

    settings = DataSettings(source=f"idx:{data / 'mnist'}")
    beam_run = module.run
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        module.ingest(settings, Path(folder) / "warm")  # imports
        for number in range(rounds):
            out = Path(folder) / str(number)
            figures.setdefault("mozart", []).append(
                seconds(lambda out=out: module.ingest(settings, out / "a"))
            )
            module.run = without_beam
            figures.setdefault("loops", []).append(
                seconds(lambda out=out: module.ingest(settings, out / "b"))
            )
            module.run = beam_run
            if number < 2:
                for name, full in (("per element", True), ("per element, no duplicates", False)):
                    work = lambda full=full, out=out: per_element(data / "mnist", out / f"c{full}", full)  # noqa: E731
                    figures.setdefault(name, []).append(seconds(work))
    print(f"70,000 MNIST images, idx to shards ({rounds} rounds)")
    own = told("mozart ingest", figures["mozart"])
    loops = told("the same without Beam", figures["loops"])
    naive = told("the same per element in Beam", figures["per element"])
    less = told("... without duplicates and digests", figures["per element, no duplicates"])
    print(
        f"  against per element: {naive / own:.1f}x (target 10; with less work than ours {less / own:.1f}x)"
    )
    print(f"  against no Beam:     {loops / own:.2f}x (target 0.6)")


# -- PNG -----------------------------------------------------------------------------------------------


def png(rounds: int, side: int, count: int = 20_000, resize: int | None = None) -> None:
    from PIL import Image

    from components import ingest as module
    from components.settings import DataSettings

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "pictures"
        rng = np.random.default_rng(0)
        for i in range(count):
            file = root / f"{i % 10}" / f"{i:05d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            small = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(file)
        files = sorted(root.rglob("*.png"))

        def bare() -> None:
            for file in files:
                with Image.open(file) as image:
                    picture = image.convert("RGB")
                    if resize:
                        picture = picture.resize((resize, resize), Image.Resampling.LANCZOS)
                    np.asarray(picture)

        settings = DataSettings(source=f"images:{root}", read={"resize": resize} if resize else {})
        bare()
        module.ingest(DataSettings(source="digits"), Path(folder) / "warm")  # imports
        own, peer = [], []
        for number in range(rounds):
            peer.append(seconds(bare))
            own.append(seconds(lambda n=number: module.ingest(settings, Path(folder) / f"r{n}")))
    print(f"{count:,} PNG files of {side}x{side}{f' to {resize}' if resize else ''} ({rounds} rounds)")
    bare_seconds, own_seconds = told("bare Pillow loop", peer), told("mozart ingest", own)
    print(f"  against a bare loop: {bare_seconds / own_seconds:.2f}x (target 0.65)")


# -- the stream ----------------------------------------------------------------------------------------


def stream(data: Path, rounds: int) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from components.examples import Examples
    from components.ingest import ingest
    from components.settings import DataSettings, ModelSettings
    from components.statistics import statistics as summarise
    from components.train import make
    from components.transform import transform

    batch = 64
    for name, source in (("digits", "digits"), ("MNIST", f"idx:{data / 'mnist'}")):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            settings = DataSettings(source=source)
            ingest(settings, out / "records")
            summarise(out / "records", out / "statistics")
            transform(out / "records", out / "statistics", out / "examples", settings)
            examples = Examples(out / "examples")
            model = make(ModelSettings(family="dcgan"), examples, 0)
            model.compile()
            delivered, consumed = [], []
            for _ in range(rounds):
                steps = 400
                wall, _ = seconds(lambda e=examples, n=steps: [None for _ in e.stream(batch, 0, 0, n)])
                delivered.append(steps * batch / wall)
                steps = 60
                kept = list(examples.stream(batch, 0, 0, 1)) * steps
                step = model.make_train_function() or model.train_function
                iterate = iter(kept)
                step(iterate)
                wall, _ = seconds(lambda s=step, it=iterate, n=steps: [s(it) for _ in range(n - 1)])
                consumed.append((steps - 1) * batch / wall)
        most, need = statistics.median(delivered), statistics.median(consumed)
        print(
            f"{name}: delivered {most:,.0f} images/s, the DCGAN's step takes {need:,.0f}: {most / need:.1f}x (target 5)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["mnist", "png", "stream"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    data = Path(os.environ.get("MOZART_TEST_DATA", ROOT.parent / "shared" / "data"))
    if "mnist" in given.what:
        mnist(data, given.rounds)
    if "png" in given.what:
        for side in (28, 64):
            png(given.rounds, side)
        png(given.rounds, 256, 4_000, 64)
    if "stream" in given.what:
        stream(data, given.rounds)


if __name__ == "__main__":
    main()
