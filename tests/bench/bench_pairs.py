"""What precision, recall, density and coverage cost: run by hand.

    python tests/bench/bench_pairs.py [--rows 10000] [--features 2048] [--peer-rows 10000] [--all]

Normal float32 rows, one BLAS thread, each measurement in a process of its own: CPU seconds, and the peak of
memory beyond the rows themselves. The peer is the algorithm of prdc 0.2: three full matrices of distances by
scikit-learn, with eight threads as it ships; with one thread it takes fewer CPU seconds. `--all` adds what
else one pass gives: the 1-NN test and the kernel distance. Targets at 10,000 rows: 3 times, a twentieth of
the memory; at 50,000 under 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from components.metrics.comparison import compare
from components.metrics.kernel import kid_of
from components.metrics.neighbours import neighbourhood_of, two_sample_of

K = 5
PEERS = {"prdc": 8, "prdc, one thread": 1}


def rows(seed: int, n: int, d: int, spread: float) -> np.ndarray:
    """Normal rows float32 `[n, d]`, made a thousand at a time so that making them needs no memory."""
    random = np.random.default_rng(seed)
    made = np.empty((n, d), np.float32)
    for start in range(0, n, 1000):
        part = made[start : start + 1000]
        part[:] = random.standard_normal(part.shape, np.float32) * np.float32(spread)
    return made


def own(real: np.ndarray, samples: np.ndarray, everything: bool) -> dict[str, float]:
    """Ours, in one pass over blocks."""
    compared = compare(real, samples, K, strict=True, two_sample=everything, kernel=everything)
    found = {name: estimate.value for name, estimate in neighbourhood_of(compared).items()}
    if everything:
        found |= {"two_sample_accuracy": two_sample_of(compared).value, "kid": kid_of(compared).value}
    return found


def peer(real: np.ndarray, samples: np.ndarray, jobs: int) -> dict[str, float]:
    """Full matrices."""
    from sklearn.metrics import pairwise_distances

    def radii(some: np.ndarray) -> np.ndarray:
        apart = pairwise_distances(some, n_jobs=jobs)
        nearest = np.argpartition(apart, K + 1, axis=-1)[..., : K + 1]
        found: np.ndarray = np.take_along_axis(apart, nearest, axis=-1).max(axis=-1)
        return found

    of_real, of_samples = radii(real), radii(samples)
    apart = pairwise_distances(real, samples, n_jobs=jobs)
    return {
        "precision": float((apart < of_real[:, None]).any(axis=0).mean()),
        "recall": float((apart < of_samples[None]).any(axis=1).mean()),
        "density": float((apart < of_real[:, None]).sum(axis=0).mean() / K),
        "coverage": float((apart.min(axis=1) < of_real).mean()),
    }


def resident() -> int:
    """Memory that this process holds now, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def measure(which: str, n: int, d: int, everything: bool) -> None:
    """Runs one of the two here and prints what it cost."""
    if which != "own":
        import sklearn.metrics  # noqa: F401  # importing is not part of it
    real, samples = rows(1, n, d, 1.0), rows(2, n, d, 0.998)
    peak = before = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    found: dict[str, Any]
    found = own(real, samples, everything) if which == "own" else peer(real, samples, PEERS[which])
    found |= {"cpu_seconds": time.process_time() - start, "extra_mb": (peak - before) / 2**20}
    done.set()
    watcher.join()
    print(json.dumps(found))


def told(which: str, n: int, d: int, everything: bool) -> dict[str, Any]:
    """What `measure` says in a process of its own."""
    command = [sys.executable, __file__, "--measure", which, "--rows", str(n), "--features", str(d)]
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    said = subprocess.run(
        command + ["--all"] * everything, env=os.environ | threads, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(said.stdout)
    print(
        f"{which:16} {n:6} x {d}: {found.pop('cpu_seconds'):7.2f} CPU s, {found.pop('extra_mb'):7.1f} MB extra",
        found,
    )
    return json.loads(said.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Prints a line for each measurement, and the ratios where both have as many rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--peer-rows", type=int, default=10_000, help="0: without the peer")
    parser.add_argument("--all", action="store_true", help="the 1-NN test and the kernel distance too")
    parser.add_argument("--measure", choices=("own", *PEERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.rows, given.features, given.all)
        return
    ours = told("own", given.rows, given.features, given.all)
    for which in PEERS if given.peer_rows else ():
        theirs = told(which, given.peer_rows, given.features, False)
        if given.peer_rows == given.rows:
            cost, memory = (theirs[name] / ours[name] for name in ("cpu_seconds", "extra_mb"))
            print(f"    {cost:.2f} times our CPU seconds, {memory:.1f} times our memory")


if __name__ == "__main__":
    main()
