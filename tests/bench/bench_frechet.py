"""What a Fréchet distance costs: run by hand, about three minutes.

    python tests/bench/bench_frechet.py [--dimensions 2048] [--repeats 3]

CPU seconds (process_time) with one BLAS thread, of this package and of what others compute, written out
in numpy: the roots of the eigenvalues of C1 C2 (torch-fidelity 0.4), and sqrtm of C1 C2 (pytorch-fid,
clean-fid). Ways take turns, and ratios are medians over repeats. Targets: full rank twice as fast as the
eigenvalues and 6 times as fast as sqrtm; 1,000 rows a side, 15 times; 10 times the rows, 10.5 times the
time for moments at most.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # before numpy loads

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))

from components.metrics.frechet import (  # noqa: E402
    Moments,
    Reference,
    ShardedMoments,
    frechet_distance,
    frechet_of,
)


def features(seed: int, n: int, d: int) -> np.ndarray:
    """Correlated and skewed, as a network's are; the condition number of the covariance is about 1e4."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((n, d)) * np.logspace(0, -1.5, d)
    mixed[:, 1:] += 0.5 * mixed[:, :-1]
    return np.maximum(mixed, -0.5 * mixed.std(axis=0))


def with_eigenvalues(a: Moments, b: Moments) -> float:
    """As torch-fidelity has it."""
    first, second = a.covariance(), b.covariance()
    root = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    return float(np.square(a.mean - b.mean).sum() + first.trace() + second.trace() - 2 * root)


def with_square_root(a: Moments, b: Moments) -> float:
    """As pytorch-fid and clean-fid have it, without their multiple of the identity."""
    from scipy.linalg import sqrtm

    first, second = a.covariance(), b.covariance()
    root = np.trace(sqrtm(first @ second)).real
    return float(np.square(a.mean - b.mean).sum() + first.trace() + second.trace() - 2 * root)


def compare(title: str, ways: dict[str, Callable[[], float]], repeats: int) -> None:
    """Prints each way's seconds, and by what it is slower than the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values = {}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            values[name] = way()
            seconds[name].append(time.process_time() - start)
    own = next(iter(ways))
    print(title)
    for name, spent in seconds.items():
        ratio = np.median(np.divide(spent, seconds[own]))
        apart = values[name] / values[own] - 1
        print(f"  {name:28} {np.median(spent):8.3f} s  {ratio:6.2f} x   value {apart:+.1e}", flush=True)


def full_rank(d: int, repeats: int) -> None:
    a, b = (Moments.of(features(seed, 3 * d, d)) for seed in (1, 2))
    reference = Reference(b)
    assert reference.cholesky is not None  # found before, as with the second model and later ones
    ways = {
        "Cholesky, eigvalsh": lambda: frechet_distance(a, b),
        "the same, cached factor": lambda: frechet_distance(a, reference),
        "eigvals (torch-fidelity)": lambda: with_eigenvalues(a, b),
        "sqrtm (pytorch-fid)": lambda: with_square_root(a, b),
    }
    compare(f"full rank, {3 * d} rows a side, d = {d}", ways, repeats)


def low_rank(d: int, repeats: int) -> None:
    x, y, many = features(1, 1000, d), features(2, 1000, d), Reference(Moments.of(features(3, 2 * d, d)))
    a, b = Moments.of(x), Moments.of(y)
    ways = {
        "few rows on both sides": lambda: frechet_of(x, y),
        "eigvals (torch-fidelity)": lambda: with_eigenvalues(a, b),
        "sqrtm (pytorch-fid)": lambda: with_square_root(a, b),
    }
    compare(f"1,000 rows a side, d = {d} (theirs without the time of their covariances)", ways, repeats)
    ways = {
        "few rows on one side": lambda: frechet_of(x, many),
        "by moments": lambda: frechet_of(Moments.of(x), many),
    }
    compare(f"1,000 rows against a known reference, d = {d}", ways, repeats)


def moments(d: int, repeats: int) -> None:
    x = np.concatenate([features(seed, 10_000, d).astype(np.float32) for seed in range(10)])
    ways = {
        "10,000 rows": lambda: ShardedMoments.of(x[:10_000]).whole().n / 1e4,
        "100,000 rows": lambda: ShardedMoments.of(x).whole().n / 1e5,
    }
    ways["100,000 rows"]()  # the first touch of new memory is the system's own cost
    compare(f"moments of 20 shards and of all, d = {d}", ways, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    moments(given.dimensions, given.repeats)
    full_rank(given.dimensions, given.repeats)
    low_rank(given.dimensions, given.repeats)


if __name__ == "__main__":
    main()
