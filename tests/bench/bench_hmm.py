"""What hidden Markov models cost against hmmlearn's "scaling" implementation: run by hand, about two minutes.

    python tests/bench/bench_hmm.py [--repeats 7] [--emission categorical|gaussian] [--threads 0]

64 sequences of 1,000 steps over 50 symbols or 4 channels, and one of 100,000. Ways take turns, and each ratio is
the median over rounds of hmmlearn's wall time over ours in the same round; behind it the same of processor time,
and of the shortest times, which a busy machine disturbs least.
Likelihood and path are `log_prob` and `decode_states`; an epoch is `fit`'s without reading and callbacks: one
training step on the batch and the M-step. Targets: epoch in float32 7 (8 states) and 10 (32 states), in float64 3
and 4; likelihood in float32 6; path 5; one long sequence 4.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # before numpy loads

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))

from hmmlearn.hmm import CategoricalHMM, GaussianHMM  # noqa: E402

from keras_models import build, describe  # noqa: E402
from keras_models.spec import Spec  # noqa: E402

SYMBOLS, CHANNELS = 50, 4
TURN = 0.05  # seconds
Work = Callable[[], Any]


def timed(work: Work, calls: int) -> tuple[float, float]:
    """Seconds of wall and of processor of a call, of several in a row."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        work()
    return (time.perf_counter() - wall) / calls, (time.process_time() - processor) / calls


def calls_of(work: Work) -> int:
    """Calls in a turn, so that it takes some hundredths of a second: one alone finds its caches cold."""
    return max(1, round(TURN / timed(work, 1)[0]))


def compare(name: str, theirs: Work, ours: dict[str, Work], repeats: int) -> None:
    """Prints the ratios of one task."""
    for work in ours.values():
        work()
        work()
    own = {key: calls_of(work) for key, work in ours.items()}
    peer = calls_of(theirs)
    rounds = [
        (timed(theirs, peer), {key: timed(work, own[key]) for key, work in ours.items()})
        for _ in range(repeats)
    ]
    base = np.median([their[0] for their, _ in rounds])
    for key in ours:
        wall, processor = (
            np.median([their[kind] / our[key][kind] for their, our in rounds]) for kind in (0, 1)
        )
        took = np.median([our[key][0] for _, our in rounds])
        best = min(their[0] for their, _ in rounds) / min(our[key][0] for _, our in rounds)
        print(
            f"{name:38s} {key}: {wall:5.1f}x wall, {processor:5.1f}x processor, {best:5.1f}x best against best   "
            f"{took * 1e3:8.1f} ms against {base * 1e3:8.1f}",
            flush=True,
        )


def model_of(emission: str, states: int, steps: int, precision: str) -> Any:
    """A model of our own."""
    spec = Spec(kind="tokens", shape=(steps,), vocabulary=SYMBOLS)
    if emission == "gaussian":
        spec = Spec(kind="series", shape=(steps, CHANNELS))
    config = {"states": states, "precision": precision, "pseudo_count": 0.01}
    return build("hmm", spec, describe("hmm").config.parse(config), seed=1)


def peer_of(model: Any, emission: str) -> Any:
    """hmmlearn's, with the same parameters."""
    first, moves, *rest = model.candidates[0].arrays()
    if emission == "gaussian":
        peer = GaussianHMM(len(first), "diag", n_iter=1, init_params="", implementation="scaling")
        peer.means_, peer.covars_ = rest
    else:
        peer = CategoricalHMM(len(first), n_iter=1, init_params="", implementation="scaling")
        peer.emissionprob_, peer.n_features = rest[0], SYMBOLS
    peer.startprob_, peer.transmat_ = first, moves
    return peer


def measure(emission: str, states: int, count: int, steps: int, repeats: int) -> None:
    """All tasks on `count` sequences of `steps`."""
    models = {precision: model_of(emission, states, steps, precision) for precision in ("float32", "float64")}
    peer = peer_of(models["float64"], emission)
    x = models["float64"].sample(count, seed=3)
    joined = x.reshape(count * steps, -1).astype(np.int64 if emission == "categorical" else np.float64)
    lengths, given = [steps] * count, tf.constant(x)

    def likelihood(model: Any) -> Work:
        return lambda: np.asarray(model.log_prob(given))

    def path(model: Any) -> Work:
        return lambda: [np.asarray(one) for one in model.decode_states(given)]

    def epoch(model: Any) -> Work:
        step = tf.function(model.train_step)
        batch = {"x": given, "length": tf.fill((count,), steps)}

        def work() -> None:
            step(batch)
            model.end_epoch()

        return work

    def each(task: Callable[[Any], Work]) -> dict[str, Work]:
        return {name: task(model) for name, model in models.items()}

    def fit() -> None:
        peer_of(models["float64"], emission).fit(joined, lengths)

    name = f"{emission[:5]} {states} states {count}x{steps}"
    compare(f"{name} likelihood", lambda: peer.score(joined, lengths), each(likelihood), repeats)
    compare(f"{name} path", lambda: peer.decode(joined, lengths), each(path), repeats)
    compare(f"{name} epoch", fit, each(epoch), repeats)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--emission", choices=("categorical", "gaussian"))
    parser.add_argument("--states", type=int)
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; 0: all")
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    for emission in (given.emission,) if given.emission else ("categorical", "gaussian"):
        for states in (given.states,) if given.states else (8, 32):
            measure(emission, states, 64, 1000, given.repeats)
            measure(emission, states, 1, 100_000, given.repeats)


if __name__ == "__main__":
    main()
