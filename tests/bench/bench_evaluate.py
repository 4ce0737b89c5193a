"""What the evaluation of the digits costs without the feature network's training: run by hand.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_evaluate.py [--samples 1000] [--profile 25]

The judge of digits measures so many samples on both splits; the samples are digits with a little noise. Then
the moments of 100,000 and of a million features [n, 48], and of 10,000 and 100,000 [n, 512]. Targets: 15 s,
and 10 times the samples in 10.5 times the processor time. `--profile N` lists the N largest costs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

from components.metrics.frechet import frechet_interval
from components.metrics.moments import ShardedMoments
from tests.judging import Generator, digit_judge, digits, seen_on

ROUNDS = 5


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds of the fastest of some rounds."""
    found = []
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in found), min(processor for _, processor in found)


def moments_of(rows: np.ndarray) -> ShardedMoments:
    """Added a thousand rows at a time, as the pass over images gives them, and joined: rows of a block that
    is not full wait until then."""
    found = ShardedMoments(rows.shape[1])
    for start in range(0, len(rows), 1024):
        found.add(rows[start : start + 1024])
    found.whole()
    return found


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--profile", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        judge = digit_judge(Path(folder) / "examples")
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"feature network and imports           {wall:7.2f} s {processor:7.2f} s of processor")
    random = np.random.default_rng(0)
    x = digits()["x"]
    x = x[random.integers(0, len(x), given.samples)]
    samples = np.clip(x + random.normal(0, 0.05, x.shape), 0, 1).astype(np.float32)
    model: Any = Generator(samples)
    judge.measure(model, samples)  # what is compiled once

    def evaluation() -> None:
        seen_on(judge).measure(model, samples)  # which forgets what was looked at before

    wall, processor = timed(evaluation)
    print(f"{given.samples} samples on both splits          {wall:7.2f} s {processor:7.2f} s of processor")
    for width, few in ((48, 100_000), (512, 10_000)):
        times = []
        for n in (few, 10 * few):
            rows = random.standard_normal((n, width))
            times.append(timed(lambda rows=rows: moments_of(rows))[1])  # type: ignore[misc]
        print(
            f"moments [n, {width}]: {times[0]:.3f} s of {few:,}, {times[1]:.3f} s of ten times as many: "
            f"{times[1] / times[0]:.1f} times"
        )
    sides = [moments_of(random.standard_normal((1000, 48))) for _ in range(2)]
    print(f"distance and interval from moments      {timed(lambda: frechet_interval(*sides))[1]:.3f} s")
    if given.profile:
        profile = cProfile.Profile()
        profile.runcall(evaluation)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(given.profile)


if __name__ == "__main__":
    main()
