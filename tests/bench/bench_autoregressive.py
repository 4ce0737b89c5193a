"""What fitting many series at once costs, against loops of numpy, statsmodels and statsforecast: run by hand.

    python tests/bench/bench_autoregressive.py --peer /path/to/a/python/with/statsmodels-and-statsforecast
        [--rounds 5] [--series 500] [--cases ar,arima,sarima] [--starts 5] [--as-called] [--all]

ar: AR(5) with a constant by least squares, 10,000 series of 500 values, float64. arima: the exact maximum of
(1, 1, 1), 500 series of 200 values; sarima: (1, 1, 1)(1, 1, 1, 12), of 240 values; ours from three starts, and from
five, or from the first ones. A peer loops over a few of the series in a process of its own and its time is scaled to all of them. Rounds
interleave ours and the peers; a ratio is the median over rounds of the ratios within a round, of processor seconds
with one thread each, so that other work on the machine does not count; compiling is apart, as the peers' imports are.
statsmodels has the same likelihood then, that of the differences. With --as-called nobody's threads are set, seconds
are those of the clock, and statsmodels is called as its manual does, ARIMA(y, order=...).fit(): that differences
within the state, and BLAS starts threads for small matrices. At the end, of the series that
statsforecast fitted, with --all every one: how many of ours are less likely than its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ALONE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
AS_CALLED = "BENCH_AS_CALLED"  # in the environment
AR_SERIES, AR_STEPS, AR_ORDER = 10_000, 500, 5
CASES = {
    "arima": (200, (1, 1, 1), (0, 0, 0), 1),
    "sarima": (240, (1, 1, 1), (1, 1, 1), 12),
}
FEW = {  # series of a peer's turn
    ("ar", "numpy"): 200,
    ("ar", "statsmodels"): 40,
    ("arima", "statsforecast"): 500,
    ("arima", "statsmodels"): 4,
    ("sarima", "statsforecast"): 8,
    ("sarima", "statsmodels"): 1,
}


def simulated(case: str, count: int) -> np.ndarray:
    """Series `[count, steps]`, each of a process of its own."""
    rng = np.random.default_rng(0)
    if case == "ar":
        x = rng.normal(size=(count, AR_STEPS + 100))
        phi = rng.uniform(-0.8, 0.8, count)
        for t in range(1, x.shape[1]):
            x[:, t] += phi * x[:, t - 1]
        return 3 + x[:, 100:]
    steps, _, seasonal, season = CASES[case]
    burn = 10 * season + 100
    e = rng.normal(size=(count, steps + burn))
    w = e.copy()
    near, moving, far, slow = rng.uniform(-0.8, 0.8, (4, count))
    for t in range(season + 1, w.shape[1]):
        w[:, t] = e[:, t] + near * w[:, t - 1] + moving * e[:, t - 1]
        if seasonal[0]:
            w[:, t] += far * w[:, t - season] - near * far * w[:, t - season - 1]
            w[:, t] += slow * e[:, t - season] + moving * slow * e[:, t - season - 1]
    w = w[:, burn:].cumsum(1)
    if seasonal[1]:
        for t in range(season, steps):
            w[:, t] += w[:, t - season]
    return w


# -- the peers, in a process of their own ----------------------------------------------------------------------


def fit_one(case: str, peer: str, y: np.ndarray) -> list[float]:
    """What the peer finds: empty, or ar, ma, sar, sma as it has them."""
    if case == "ar":
        if peer == "numpy":
            p, n = AR_ORDER, len(y)
            design = np.stack([np.ones(n - p), *(y[p - lag : n - lag] for lag in range(1, p + 1))], 1)
            return np.linalg.lstsq(design, y[p:], rcond=None)[0].tolist()
        from statsmodels.tsa.ar_model import AutoReg

        return AutoReg(y, AR_ORDER, trend="c").fit().params.tolist()
    _, order, seasonal, season = CASES[case]
    if peer == "statsmodels":
        from statsmodels.tsa.arima import model as called
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        whole = (*seasonal, season if any(seasonal) else 0)
        if AS_CALLED in os.environ:
            return called.ARIMA(y, order=order, seasonal_order=whole).fit().params.tolist()
        model = SARIMAX(y, order=order, seasonal_order=whole, simple_differencing=True)
        return model.fit(disp=False).params.tolist()
    from statsforecast.models import ARIMA

    found = ARIMA(order=order, season_length=season, seasonal_order=seasonal, include_mean=False).fit(y)
    return [float(value) for value in found.model_["coef"].values()]


def clock() -> float:
    """Seconds: of the processor where threads are set, else of the clock."""
    return time.perf_counter() if AS_CALLED in os.environ else time.process_time()


def serve(case: str, peer: str, file: str) -> None:
    """Fits the series of `file` at each line of standard input, and says the seconds and what it found."""
    import warnings

    warnings.simplefilter("ignore")
    rows = np.load(file)
    fit_one(case, peer, rows[0])
    print("ready", flush=True)
    for line in sys.stdin:
        start = clock()
        found = [fit_one(case, peer, y) for y in rows[: int(line)]]
        print(json.dumps([clock() - start, found]), flush=True)


class Peer:
    """A process that fits when it is told to."""

    def __init__(self, python: str, case: str, peer: str, rows: np.ndarray, folder: Path) -> None:
        file = folder / f"{case}-{peer}.npy"
        np.save(file, rows)
        interpreter = sys.executable if peer == "numpy" else python
        self.process = subprocess.Popen(
            [interpreter, __file__, "--serve", case, peer, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.said()

    def said(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def turn(self, count: int) -> tuple[float, list[list[float]]]:
        """Seconds a series, of the first `count`, and what was found."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        seconds, found = json.loads(self.said())
        return seconds / len(found), found


# -- ours --------------------------------------------------------------------------------------------------------


def ours(case: str, x: np.ndarray) -> tuple[Callable[[], float], Any]:
    """A turn, which returns its seconds, and the model. The first turn has compiled."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import tensorflow as tf

    if AS_CALLED not in os.environ:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras_models
    from keras_models.spec import Spec

    count, steps = x.shape
    settings: dict[str, Any] = {"pooled": False}
    if case == "ar":
        settings |= {"order": AR_ORDER}
    else:
        _, order, seasonal, season = CASES[case]
        settings |= {"order": order}
        settings |= {"seasonal_order": seasonal, "season": season} if case == "sarima" else {}
    spec = Spec(kind="series", shape=(steps, 1), series=count)
    model = keras_models.build(case, spec, keras_models.describe(case).config(**settings))
    batch = {
        "x": tf.constant(x[..., None]),
        "series": tf.range(1, count + 1),
    }
    model.compile()
    add = tf.function(model.train_step)

    def turn() -> float:
        model.observations.assign(tf.zeros_like(model.observations))  # else it would begin where it ended
        start = clock()
        add(batch)
        model.end_epoch()
        return clock() - start

    print(f"  {case}: first turn, which compiles, {turn():.1f} s")
    return turn, model


def likelihoods(case: str, x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Ours of series `[n, T]` at a peer's coefficients `[n, size]`, with the variances that are best for them."""
    from keras_models.autoregressive.angles import slopes
    from keras_models.autoregressive.complete_fit import differenced_rows
    from keras_models.autoregressive.kalman import differencing
    from keras_models.autoregressive.score import scored

    _, order, seasonal, season = CASES[case]
    degrees = (
        order[0],
        order[2],
        seasonal[0],
        seasonal[2],
    )  # 1 each: a coefficient is a partial autocorrelation
    columns = differenced_rows(x[..., None], differencing(order[1], seasonal[1], season))
    angles = np.arcsin(np.clip(coefficients, -1, 1)).T
    return -scored(slopes(degrees, season, angles), columns, np.full(len(x), columns.shape[1])).value


def compared(case: str, python: str, rounds: int, series: int, every: bool) -> None:
    """Prints the ratios of one case."""
    x = simulated(case, AR_SERIES if case == "ar" else series)
    turn, model = ours(case, x)
    few = {peer: count for (of, peer), count in FEW.items() if of == case}
    with tempfile.TemporaryDirectory() as folder:
        peers = {peer: Peer(python, case, peer, x, Path(folder)) for peer in few}
        ratios: dict[str, list[float]] = {peer: [] for peer in peers}
        last: dict[str, list[list[float]]] = {}
        for _ in range(rounds):
            own = turn() / len(x)
            for name, peer in peers.items():
                seconds, last[name] = peer.turn(few[name])
                ratios[name].append(seconds / own)
            print(f"  {case}: ours {own * len(x):.2f} s", {n: round(r[-1], 1) for n, r in ratios.items()})
        for name, ratio in ratios.items():
            print(f"{case}: {statistics.median(ratio):.1f} x {name} ({len(x)} series, {rounds} rounds)")
        if "statsforecast" in peers:
            found = last["statsforecast"]
            if every and len(found) < len(x):
                _, found = peers["statsforecast"].turn(len(x))
            theirs = likelihoods(case, x[: len(found)], np.array(found))
            gaps = model.log_likelihood.numpy()[1 : len(found) + 1, 0] - theirs
            print(
                f"{case}: {(gaps < -0.01).sum()} of {len(gaps)} are below statsforecast by 0.01 nat, ", end=""
            )
            print(f"{(gaps > 0.01).sum()} above; least gap {gaps.min():.4f}, largest {gaps.max():.2f}")
        for peer in peers.values():
            peer.process.kill()


if __name__ == "__main__":
    wanted = {AS_CALLED: "1"} if "--as-called" in sys.argv else ALONE
    if (
        "--serve" not in sys.argv and wanted.items() - os.environ.items()
    ):  # numpy reads them when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)
    if "--serve" in sys.argv:
        serve(*sys.argv[2:5])
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--cases", default="ar,arima,sarima")
    parser.add_argument("--starts", type=int)
    parser.add_argument("--as-called", action="store_true")
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    if given.starts:
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from keras_models.autoregressive import polynomials

        polynomials.STARTS = polynomials.STARTS[: given.starts]
    for case in given.cases.split(","):
        compared(case, given.peer, given.rounds, given.series, given.all)
