"""What mixed precision gives: images and tokens a second, and the most memory, for each `train.precision`. By hand.

    python tests/bench/bench_precision.py [--rounds 5] [--steps 10] [--what dcgan gpt] [--large]
                                          [--precision mixed_bfloat16]

dcgan: pictures of 28x28x1, the default config, batches of 64. gpt: the default config (4 layers, 128 wide), windows of
64 out of 65 symbols, batches of 12. `--large` is for a GPU: dcgan 128 wide in batches of 512; gpt 12 layers, 768 wide,
windows of 512, batches of 32. On a GPU where there is one, through `fit`, as the line trains. Each precision is a
process of its own that waits for its turn; a round is one turn of each, and a ratio is the median over rounds of the
ratios to float32 within a round, by the clock and by seconds of processor. Memory is the peak of the device's, or of
the whole process on a processor, where convolutions in float16 are too slow to time: leave
them out there with `--precision mixed_bfloat16`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
WHAT = {"dcgan": "images", "gpt": "tokens"}
SYMBOLS = 65


def made(what: str, precision: str, *, large: bool) -> tuple[Any, dict[str, Any], int]:
    """A model, a batch for it, and how many images or tokens the batch is."""
    import numpy as np

    import keras_models
    from keras_models.spec import Spec

    random = np.random.default_rng(0)
    settings: dict[str, Any] = {}
    if what == "dcgan":
        batch, settings = (512, {"width": 128}) if large else (64, {})
        spec = Spec(kind="image", shape=(28, 28, 1))
        x, count = random.random((batch, 28, 28, 1), np.float32), batch
    else:
        batch, length = (32, 512) if large else (12, 64)
        settings = {"layers": 12, "heads": 12, "width": 768} if large else {}
        spec = Spec(kind="tokens", shape=(length,), vocabulary=SYMBOLS)
        x, count = random.integers(0, SYMBOLS, (batch, length)).astype("int32"), batch * length
    config = keras_models.describe(what).config.parse(settings)
    return keras_models.build(what, spec, config, precision=precision), {"x": x}, count


def steps_of(what: str, precision: str, steps: int, *, large: bool) -> Callable[[], int]:
    """What takes `steps` steps and says how many images or tokens that was."""
    import tensorflow as tf

    model, batch, count = made(what, precision, large=large)
    model.compile(steps_per_execution=steps)
    data = tf.data.Dataset.from_tensors(batch).repeat(steps)

    def run() -> int:
        model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)
        return steps * count

    return run


def most_memory() -> float:
    """MB at the peak, of the first GPU or of this process."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def work(what: str, precision: str, steps: int, *, large: bool) -> None:
    """A process of one precision: warms up, then answers each line with its rates and the memory."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):  # three processes share it
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    run = steps_of(what, precision, steps, large=large)
    run()
    run()
    print("GPU" if tf.config.list_physical_devices("GPU") else "CPU", flush=True)
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        count = run()
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        print(count / clock, count / processor, most_memory(), flush=True)


def measure(what: str, given: argparse.Namespace) -> None:
    """Prints the table of one family."""
    options = ["--steps", str(given.steps), *(["--large"] if given.large else [])]
    peers: dict[str, Any] = {
        precision: subprocess.Popen(
            [sys.executable, __file__, "--worker", precision, "--what", what, *options],
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for precision in ("float32", *given.precision)
    }
    devices = {process.stdout.readline().strip() for process in peers.values()}
    if not devices <= {"CPU", "GPU"}:
        raise SystemExit(f"a process of '{what}' did not start")
    rounds = []
    for _ in range(given.rounds):
        rounds.append({})
        for precision, process in peers.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            rounds[-1][precision] = [float(part) for part in process.stdout.readline().split()]
    for process in peers.values():
        process.stdin.close()
        process.wait()
    print(f"{what} on {devices.pop()}, {WHAT[what]} a second (times float32), medians of {given.rounds}")
    for precision in peers:
        told = []
        for which in (0, 1):
            rate = statistics.median(one[precision][which] for one in rounds)
            ratio = statistics.median(one[precision][which] / one["float32"][which] for one in rounds)
            told.append(f"{rate:11,.0f} ({ratio:.2f})")
        memory = max(one[precision][2] for one in rounds)
        print(
            f"  {precision:15} by the clock {told[0]}   by processor {told[1]}   {memory:8,.0f} MB",
            flush=True,
        )


def main() -> None:
    """Starts the processes and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=list(WHAT))
    parser.add_argument("--precision", choices=PRECISIONS[1:], nargs="+", default=PRECISIONS[1:])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--worker", choices=PRECISIONS)
    given = parser.parse_args()
    if given.worker:
        work(given.what[0], given.worker, given.steps, large=given.large)
        return
    for what in given.what:
        measure(what, given)


if __name__ == "__main__":
    main()
