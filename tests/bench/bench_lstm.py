"""What training an LSTM costs, against PyTorch and against Keras' own layer: run by hand.

    python tests/bench/bench_lstm.py --torch /path/to/a/python/with/torch [--rounds 7] [--steps 10] [--cell lstm]

LSTM(256) with an embedding of 128 over 65 symbols, batches of 32 x 100, Adam with clipped gradients: the same
model in all. Each peer is a process of its own that waits for its turn; a round is one turn of each, and a
ratio is the median over rounds of the ratios within a round. Ours goes through `fit`, as the line trains.
Tokens a second by the clock and by the seconds of processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VOCABULARY, EMBEDDING, UNITS, BATCH, LENGTH = 65, 128, 256, 32, 100
PEERS = ("ours", "keras", "torch")
Steps = Callable[[int], None]


def ours(cell: str, steps: int) -> Steps:
    """The family of this name, by `fit`."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import keras_models
    from keras_models.spec import Spec

    settings = {"units": UNITS, "embedding": EMBEDDING}
    spec = Spec(kind="tokens", shape=(LENGTH,), vocabulary=VOCABULARY)
    model = keras_models.build(cell, spec, keras_models.describe(cell).config.parse(settings))
    model.compile(steps_per_execution=steps)
    return lambda n: fit(model, n, {"x": symbols(LENGTH)})


def keras(cell: str, steps: int) -> Steps:
    """Keras' Embedding, layer and Dense, by `fit`."""
    import keras as library

    layer = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    model = library.Sequential(
        [
            library.layers.Embedding(VOCABULARY, EMBEDDING),
            getattr(library.layers, layer)(UNITS, return_sequences=True),
            library.layers.Dense(VOCABULARY),
        ]
    )
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    adam = library.optimizers.Adam(2e-3, global_clipnorm=1.0)
    model.compile(adam, loss, steps_per_execution=steps, jit_compile=False)
    x = symbols(LENGTH + 1)
    return lambda n: fit(model, n, (x[:, :-1], x[:, 1:]))


def torch(cell: str, steps: int) -> Steps:
    """PyTorch's Embedding, layer and Linear in an eager loop."""
    import torch as library

    library.manual_seed(0)
    embedding = library.nn.Embedding(VOCABULARY, EMBEDDING)
    layer = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    layer = getattr(library.nn, layer)(EMBEDDING, UNITS, batch_first=True)
    linear = library.nn.Linear(UNITS, VOCABULARY)
    parameters = [p for module in (embedding, layer, linear) for p in module.parameters()]
    adam = library.optim.Adam(parameters, 2e-3)
    x = library.randint(0, VOCABULARY, (BATCH, LENGTH + 1))

    def run(n: int) -> None:
        for _ in range(n):
            adam.zero_grad()
            logits = linear(layer(embedding(x[:, :-1]))[0])
            target = x[:, 1:].reshape(-1)
            library.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), target).backward()
            library.nn.utils.clip_grad_norm_(parameters, 1.0)
            adam.step()

    return run


def symbols(length: int) -> Any:
    """Random symbols int32 `[BATCH, length]`."""
    import numpy as np

    return np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, length)).astype("int32")


def fit(model: Any, n: int, batch: Any) -> None:
    """`n` steps on one batch."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensors(batch).repeat(n)
    model.fit(data, steps_per_epoch=n, epochs=1, verbose=0, shuffle=False)


def work(name: str, cell: str, steps: int) -> None:
    """A peer's process: warms up, then answers each line with tokens a second by clock and by processor."""
    run = {"ours": ours, "keras": keras, "torch": torch}[name](cell, steps)
    run(steps)
    run(steps)
    print("ready", flush=True)
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        run(steps)
        tokens = BATCH * LENGTH * steps
        print(tokens / (time.perf_counter() - clock), tokens / (time.process_time() - processor), flush=True)


def main() -> None:
    """Starts the peers and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--torch", default="", help="a Python that has torch; without it, that peer is left out"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--cell", choices=("rnn", "lstm", "gru"), default="lstm")
    parser.add_argument("--worker", choices=PEERS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.cell, given.steps)
        return
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"}
    pythons = {"ours": sys.executable, "keras": sys.executable, "torch": given.torch}
    options = ["--cell", given.cell, "--steps", str(given.steps)]
    peers: dict[str, Any] = {
        name: subprocess.Popen(
            [python, __file__, "--worker", name, *options],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name, python in pythons.items()
        if python
    }
    for name, process in peers.items():
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"the peer '{name}' did not start")
    rounds = []
    for _ in range(given.rounds):
        found = {}
        for name, process in peers.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            found[name] = [float(part) for part in process.stdout.readline().split()]
        rounds.append(found)
    for process in peers.values():
        process.stdin.close()
        process.wait()
    base = "torch" if "torch" in peers else "keras"
    print(
        f"{given.cell}({UNITS}), tokens a second (times {base} in the same round), medians of {given.rounds}"
    )
    for name in peers:
        told = []
        for which in (0, 1):
            rate = statistics.median(found[name][which] for found in rounds)
            ratio = statistics.median(found[name][which] / found[base][which] for found in rounds)
            told.append(f"{rate:9,.0f} ({ratio:.2f})")
        print(f"{name:6} by the clock {told[0]}   by processor {told[1]}")


if __name__ == "__main__":
    main()
