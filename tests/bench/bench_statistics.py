"""What the statistics of a million rows cost: run by hand.

    python tests/bench/bench_statistics.py [--rows 1000000] [--naive-rows 100000]

Rows of 4 floats (1 % of them NaN), 1 integer and 1 string go through a Beam pipeline on the pinned
runner, first as chunks into components.accumulators, then one by one into Beam's own combiners (Mean,
ApproximateQuantiles, Count and Top). Each runs in a process of its own: CPU seconds and peak memory are
its own, and the cost of an empty pipeline in such a process is taken off both. Ratios are of CPU
seconds a row. Targets: 10 times, 500 MB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[2]))

CHUNK = 100_000
FLOATS = ("a", "b", "c", "d")


def table(seed: int, rows: int) -> pa.Table:
    """One chunk of rows, of its own seed."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((4, rows))
    numbers[rng.random((4, rows)) < 0.01] = np.nan
    columns: dict[str, Any] = dict(zip(FLOATS, numbers, strict=True))
    columns["integer"] = rng.integers(0, 100_000, rows)
    columns["name"] = pa.DictionaryArray.from_arrays(
        rng.zipf(1.5, rows) % 5000, [f"n{i}" for i in range(5000)]
    )
    return pa.table(columns)


def summarise(chunk: tuple[int, int]) -> dict[str, Any]:
    """Feature → accumulator of one chunk."""
    from components.accumulators import Categorical, Numeric

    rows = table(*chunk)
    found: dict[str, Any] = {name: Numeric.of(rows.column(name)) for name in (*FLOATS, "integer")}
    return {**found, "name": Categorical.of(rows.column("name"))}


def each_row(chunk: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The rows of a chunk as dicts: what Beam's own combiners are given."""
    for batch in table(*chunk).to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def ours(pipeline: Any, chunks: list[tuple[int, int]]) -> None:
    """Chunk elements into mergeable accumulators."""
    import apache_beam as beam

    from components.accumulators import merged

    _ = (
        pipeline
        | beam.Create(chunks)
        | beam.Map(summarise)
        | beam.CombineGlobally(merged)
        | beam.Map(lambda found: told(found["a"].quantile(0.25), found["name"].ordered()[0][0]))
    )


def naive(pipeline: Any, chunks: list[tuple[int, int]]) -> None:
    """An element a row into Beam's own combiners. NaN, which spoils its quantiles, is taken out."""
    import apache_beam as beam
    from apache_beam.transforms import combiners

    rows = pipeline | beam.Create(chunks) | beam.FlatMap(each_row)
    for name in (*FLOATS, "integer"):
        values = rows | f"take {name}" >> beam.FlatMap(
            lambda row, name=name: [row[name]] if row[name] == row[name] else []
        )
        _ = values | f"mean {name}" >> combiners.Mean.Globally()
        _ = values | f"quantiles {name}" >> beam.ApproximateQuantiles.Globally(5)
    _ = (
        rows
        | beam.Map(lambda row: row["name"])
        | combiners.Count.PerElement()
        | combiners.Top.Of(10, key=lambda pair: pair[1])
    )


def nothing(pipeline: Any, chunks: list[tuple[int, int]]) -> None:
    """The rows are made and dropped: the cost that both have."""
    import apache_beam as beam

    _ = pipeline | beam.Create(chunks) | beam.Map(lambda chunk: table(*chunk).num_rows)


def told(quartile: float, commonest: str) -> None:
    """That the answer is the right one."""
    assert abs(quartile + 0.6745) < 0.02, quartile
    assert commonest == "n1", commonest


def one(what: str, rows: int) -> None:
    """Runs one pipeline in this process and prints its figures."""
    from components.dataflow import options
    from components.settings import BeamSettings

    made = options(BeamSettings())
    import apache_beam as beam

    chunks = [(seed, min(CHUNK, rows - seed * CHUNK)) for seed in range(-(-rows // CHUNK))]
    began, clock = time.process_time(), time.perf_counter()
    pipeline = beam.Pipeline(options=made)
    {"ours": ours, "naive": naive, "nothing": nothing}[what](pipeline, chunks)
    pipeline.run().wait_until_finish()
    figures = {
        "cpu_seconds": time.process_time() - began,
        "wall_seconds": time.perf_counter() - clock,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def measured(what: str, rows: int) -> dict[str, float]:
    """The figures of a process of its own."""
    command = [sys.executable, __file__, "--one", what, "--rows", str(rows)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Runs all and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--naive-rows", type=int, default=100_000)
    parser.add_argument("--one", choices=("ours", "naive", "nothing"))
    given = parser.parse_args()
    if given.one:
        return one(given.one, given.rows)
    sizes = {"ours": given.rows, "naive": given.naive_rows}
    cost = {}
    for what, rows in sizes.items():
        base, found = measured("nothing", rows), measured(what, rows)
        cost[what] = max(found["cpu_seconds"] - base["cpu_seconds"], 0.01) / rows * 1e6
        print(
            f"{what:6} {rows:>9,} rows   {found['cpu_seconds']:6.2f} CPU s ({base['cpu_seconds']:.2f} of them "
            f"to make the rows)   {cost[what]:7.2f} µs a row   {found['peak_mb']:.0f} MB"
        )
    print(f"ratio  {cost['naive'] / cost['ours']:.1f} times (target 10)")
    return None


if __name__ == "__main__":
    main()
