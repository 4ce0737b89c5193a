"""What fitting many series at once costs, against loops of numpy, statsmodels and statsforecast: run by hand.

    python tests/bench/bench_autoregressive.py --peer /path/to/a/python/with/statsmodels-and-statsforecast
        [--rounds 5] [--series 500] [--cases ar,arima,sarima]

ar: AR(5) with a constant by least squares, 10,000 series of 500 values, float64. arima: the exact maximum of
(1, 1, 1), 500 series of 200 values; sarima: (1, 1, 1)(1, 1, 1, 12), of 240 values; ours from three starts or more.
A peer loops over a few of the series in a process of its own and its time is scaled to all of them. Rounds
interleave ours and the peers; a ratio is the median over rounds of the ratios within a round, of seconds of one
processor, so that other work on the machine does not count. At the end, of the series that statsforecast fitted: how many of ours are less likely than its own.
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
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        whole = (*seasonal, season if any(seasonal) else 0)
        model = SARIMAX(y, order=order, seasonal_order=whole, simple_differencing=True)
        return model.fit(disp=False).params.tolist()
    from statsforecast.models import ARIMA

    found = ARIMA(order=order, season_length=season, seasonal_order=seasonal, include_mean=False).fit(y)
    return [float(value) for value in found.model_["coef"].values()]


def serve(case: str, peer: str, file: str) -> None:
    """Fits the series of `file` at each line of standard input, and says the seconds and what it found."""
    import warnings

    warnings.simplefilter("ignore")
    rows = np.load(file)
    fit_one(case, peer, rows[0])
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        found = [fit_one(case, peer, y) for y in rows]
        print(json.dumps([time.process_time() - start, found]), flush=True)


class Peer:
    """A process that fits when it is told to."""

    def __init__(self, python: str, case: str, peer: str, rows: np.ndarray, folder: Path) -> None:
        self.count, file = len(rows), folder / f"{case}-{peer}.npy"
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

    def turn(self) -> tuple[float, list[list[float]]]:
        """Seconds a series, and what was found."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        seconds, found = json.loads(self.said())
        return seconds / self.count, found


# -- ours --------------------------------------------------------------------------------------------------------


def ours(case: str, x: np.ndarray) -> tuple[Callable[[], float], Any]:
    """A turn, which returns its seconds, and the model. The first turn has compiled."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import tensorflow as tf

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
        start = time.process_time()
        add(batch)
        model.end_epoch()
        return time.process_time() - start

    turn()
    return turn, model


def likelihood(model: Any, case: str, x: np.ndarray, number: int, coefficients: list[float]) -> float:
    """Ours of series `number` at a peer's coefficients, with the variance that is best for them."""
    import tensorflow as tf

    from keras_models.autoregressive.series_fit import estimates
    from keras_models.autoregressive.stationarity import unconstrained

    free = [coefficients[0], -coefficients[1]]
    free += [coefficients[2], -coefficients[3]] if case == "sarima" else []
    free = [float(unconstrained(tf.constant([[one]], tf.float64))[0, 0]) for one in free]
    for moving in (1, 3)[: len(free) // 2]:
        free[moving] = -free[moving]
    trial = np.array(free)[:, None]
    columns, known = x[number][None, :, None], np.ones((1, x.shape[1]))
    return float(estimates(model.polynomials, False, trial, columns, known)[2][0])


def compared(case: str, python: str, rounds: int, series: int) -> None:
    """Prints the ratios of one case."""
    x = simulated(case, AR_SERIES if case == "ar" else series)
    turn, model = ours(case, x)
    with tempfile.TemporaryDirectory() as folder:
        peers = {
            peer: Peer(python, case, peer, x[:few], Path(folder))
            for (of, peer), few in FEW.items()
            if of == case
        }
        ratios: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(rounds):
            own = turn() / len(x)
            for name, peer in peers.items():
                seconds, found = peer.turn()
                ratios[name].append(seconds / own)
                peer.found = found  # type: ignore[attr-defined]
            print(f"  {case}: ours {own * len(x):.2f} s", {n: round(r[-1], 1) for n, r in ratios.items()})
        for name, found in ratios.items():
            print(f"{case}: {statistics.median(found):.1f} x {name} ({len(x)} series, {rounds} rounds)")
        if "statsforecast" in peers:
            gaps = [
                model.log_likelihood.numpy()[i + 1, 0] - likelihood(model, case, x, i, coefficients)
                for i, coefficients in enumerate(peers["statsforecast"].found)  # type: ignore[attr-defined]
            ]
            worse = sum(gap < -0.01 for gap in gaps)
            print(f"{case}: {worse} of {len(gaps)} are below statsforecast by 0.01 nat, ", end="")
            print(
                f"{sum(gap > 0.01 for gap in gaps)} above; least gap {min(gaps):.4f}, largest {max(gaps):.2f}"
            )
        for peer in peers.values():
            peer.process.kill()


if __name__ == "__main__":
    if ALONE.items() - os.environ.items():  # numpy reads them when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALONE)
    if "--serve" in sys.argv:
        serve(*sys.argv[2:5])
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--cases", default="ar,arima,sarima")
    given = parser.parse_args()
    for case in given.cases.split(","):
        compared(case, given.peer, given.rounds, given.series)
