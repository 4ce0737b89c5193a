"""What training and writing cost a GPT, against PyTorch: run by hand.

    python tests/bench/bench_gpt.py --torch /path/to/a/python/with/torch [--rounds 5] [--what train write1 write16]

4 layers, 4 heads, 128 wide, 65 symbols, tied weights, no biases: the same net in both. Training: windows of 64,
batches of 12, AdamW with clipped gradients, through `fit` as the line trains, against an eager loop. Writing: 200
symbols from the 40 likeliest, a context of 256, `complete` against a loop that keeps keys and values too, for 1
and 16 prompts. Each peer is a process of its own that waits for its turn; a round is one turn of each, and a ratio
is the median over rounds of the ratios within a round. Symbols a second by the clock and by seconds of processor.
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

VOCABULARY, LAYERS, HEADS, WIDTH = 65, 4, 4, 128
CONTEXT, BATCH, STEPS = 64, 12, 20  # of training
ROOM, PROMPT, WRITTEN, TOP_K = 256, 8, 200, 40  # of writing
PEERS = ("ours", "torch")
WHAT = ("train", "write1", "write16")
Work = Callable[[], int]  # does it once and says how many symbols that was


def ours(what: str) -> Work:
    """The family gpt."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import numpy as np
    import tensorflow as tf

    import keras_models
    from keras_models.spec import Spec

    config = keras_models.describe("gpt").config.parse({})
    length = CONTEXT if what == "train" else ROOM
    model = keras_models.build("gpt", Spec(kind="tokens", shape=(length,), vocabulary=VOCABULARY), config)
    random = np.random.default_rng(0)
    if what == "train":
        model.compile(steps_per_execution=STEPS)
        x = random.integers(0, VOCABULARY, (BATCH, CONTEXT)).astype("int32")

        def train() -> int:
            data = tf.data.Dataset.from_tensors({"x": x}).repeat(STEPS)
            model.fit(data, steps_per_epoch=STEPS, verbose=0, shuffle=False)
            return STEPS * BATCH * CONTEXT

        return train
    prompts = random.integers(0, VOCABULARY, (int(what.removeprefix("write")), PROMPT)).tolist()
    return lambda: sum(map(len, model.complete(prompts, WRITTEN, top_k=TOP_K)))


def torch(what: str) -> Work:
    """The same in PyTorch, eagerly."""
    import torch as library
    from torch.nn import functional

    library.manual_seed(0)

    class Block(library.nn.Module):
        """Normalises first; attends to what is kept and to itself; feeds forward."""

        def __init__(self) -> None:
            super().__init__()
            self.first = library.nn.LayerNorm(WIDTH, bias=False)
            self.last = library.nn.LayerNorm(WIDTH, bias=False)
            self.entrance = library.nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.exit = library.nn.Linear(WIDTH, WIDTH, bias=False)
            self.up = library.nn.Linear(WIDTH, 4 * WIDTH, bias=False)
            self.down = library.nn.Linear(4 * WIDTH, WIDTH, bias=False)

        def forward(self, x: Any, kept: Any = None) -> Any:
            rows, steps, _ = x.shape
            parts = self.entrance(self.first(x)).split(WIDTH, dim=2)
            q, k, v = (part.view(rows, steps, HEADS, -1).transpose(1, 2) for part in parts)
            if kept is not None:
                k, v = (library.cat([old, new], dim=2) for old, new in zip(kept, (k, v), strict=True))
            found = functional.scaled_dot_product_attention(q, k, v, is_causal=kept is None)
            x = x + self.exit(found.transpose(1, 2).reshape(rows, steps, WIDTH))
            return x + self.down(functional.gelu(self.up(self.last(x)), approximate="tanh")), (k, v)

    class Net(library.nn.Module):
        """Embedding, blocks, and the embedding again."""

        def __init__(self, length: int) -> None:
            super().__init__()
            self.symbols = library.nn.Embedding(VOCABULARY, WIDTH)
            self.places = library.nn.Embedding(length, WIDTH)
            self.blocks = library.nn.ModuleList(Block() for _ in range(LAYERS))
            self.norm = library.nn.LayerNorm(WIDTH, bias=False)

        def forward(self, x: Any, begin: int = 0, kept: Any = None) -> Any:
            hidden = self.symbols(x) + self.places(library.arange(begin, begin + x.shape[1]))
            caches = []
            for number, block in enumerate(self.blocks):
                hidden, cache = block(hidden, kept[number] if kept else None)
                caches.append(cache)
            return self.norm(hidden) @ self.symbols.weight.T, caches

    if what == "train":
        net = Net(CONTEXT)
        adam = library.optim.AdamW(net.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.1)
        x = library.randint(0, VOCABULARY, (BATCH, CONTEXT + 1))

        def train() -> int:
            for _ in range(STEPS):
                adam.zero_grad(set_to_none=True)
                logits = net(x[:, :-1])[0]
                functional.cross_entropy(logits.reshape(-1, VOCABULARY), x[:, 1:].reshape(-1)).backward()
                library.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                adam.step()
            return STEPS * BATCH * CONTEXT

        return train
    net = Net(ROOM).eval()
    prompts = library.randint(0, VOCABULARY, (int(what.removeprefix("write")), PROMPT))

    @library.no_grad()
    def write() -> int:
        read, kept, begin = prompts, None, 0
        for _ in range(WRITTEN):
            logits, kept = net(read, begin, kept)
            begin += read.shape[1]
            best, which = logits[:, -1].topk(TOP_K)
            read = which.gather(1, library.multinomial(best.softmax(-1), 1))
        return WRITTEN * len(prompts)

    return write


def work(name: str, what: str) -> None:
    """A peer's process: warms up, then answers each line with symbols a second by clock and by processor."""
    run = {"ours": ours, "torch": torch}[name](what)
    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        symbols = run()
        print(
            symbols / (time.perf_counter() - clock), symbols / (time.process_time() - processor), flush=True
        )


def rounds_of(what: str, rounds: int, pythons: dict[str, str]) -> list[dict[str, list[float]]]:
    """What each peer said in each round."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"}
    peers: dict[str, Any] = {
        name: subprocess.Popen(
            [python, __file__, "--worker", name, "--what", what],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name, python in pythons.items()
    }
    for name, process in peers.items():
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"the peer '{name}' did not start")
    found = []
    for _ in range(rounds):
        found.append({})
        for name, process in peers.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            found[-1][name] = [float(part) for part in process.stdout.readline().split()]
    for process in peers.values():
        process.stdin.close()
        process.wait()
    return found


def main() -> None:
    """Starts the peers and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch", help="a Python that has torch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=list(WHAT))
    parser.add_argument("--worker", choices=PEERS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.what[0])
        return
    print(f"symbols a second (times torch in the same round), medians of {given.rounds}")
    for what in given.what:
        found = rounds_of(what, given.rounds, {"ours": sys.executable, "torch": given.torch})
        for name in PEERS:
            told = []
            for which in (0, 1):
                rate = statistics.median(one[name][which] for one in found)
                ratio = statistics.median(one[name][which] / one["torch"][which] for one in found)
                told.append(f"{rate:9,.0f} ({ratio:.2f})")
            print(f"{what:8} {name:6} by the clock {told[0]}   by processor {told[1]}", flush=True)


if __name__ == "__main__":
    main()
