"""Serving: what batching saves, and the 99th percentile at 50 clients at once.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_serving.py [FAMILY ...]

Each family is served by a process of its own over loopback; this process is the 50 clients, each of which
waits for an answer before it asks again. `alone` answers one request at a time, each with a seed of its own,
so each draws a block; `together` answers up to 64 at once. The ratio is of the server's CPU seconds a request,
which say the same on a machine that others use too; requests a second and times do not. Models are new, of
binary images of the size of MNIST.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

ROOT = Path(__file__).parents[2]
CLIENTS, SECONDS, WARM = 50, 10.0, 2.0
FAMILIES = ("normal", "vae", "dcgan")


def serve(family: str, together: int, port: int) -> None:
    """In a process of its own: one model, whatever its registry would say."""
    sys.path.insert(0, str(ROOT))
    import uvicorn

    from components.serving.service import service
    from keras_models.spec import Spec
    from tests.components.serving.serving import fitted

    served = fitted(family, Spec(kind="image", shape=(28, 28, 1), levels=2))

    class Fixed:
        failures = 0

        def __init__(self) -> None:
            self.served = served

        def start(self) -> None:
            """Nothing moves."""

        stop = start

    uvicorn.run(service(Fixed(), together=together), port=port, log_level="error", timeout_keep_alive=120)  # type: ignore[arg-type]


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process so far, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(url: str, asked: dict, pid: int) -> tuple[float, float, np.ndarray]:
    """Requests a second, CPU milliseconds of the server a request, and the seconds of each."""
    times: list[float] = []
    answered, spent_before = 0, cpu_seconds(pid)
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(limits=limits, timeout=120) as client:
        begin = time.perf_counter()

        async def one(number: int) -> None:
            nonlocal answered
            turn = 0
            while (now := time.perf_counter()) < begin + WARM + SECONDS:
                body = {key: (number + CLIENTS * turn if key == "seed" else v) for key, v in asked.items()}
                answer = await client.post(url, json=body)
                assert answer.status_code == 200, answer.text
                if now >= begin + WARM:
                    times.append(time.perf_counter() - now)
                turn += 1
                answered += 1

        await asyncio.gather(*(one(number) for number in range(CLIENTS)))
        spent = time.perf_counter() - begin - WARM
    cpu = 1e3 * (cpu_seconds(pid) - spent_before) / answered
    return len(times) / spent, cpu, np.asarray(times)


def measure(family: str, together: int, port: int) -> dict[str, list[float]]:
    """Kind of request → CPU ms a request, requests a second, their median and 99th percentile in ms."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", family, str(together), str(port)], stderr=subprocess.DEVNULL
    )
    try:
        base = f"http://127.0.0.1:{port}"
        while process.poll() is None:
            try:
                httpx.get(f"{base}/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        found = {}
        for kind, (path, asked) in _kinds(family, together).items():
            url = f"{base}/v1/models/{family}:{path}"
            rate, cpu, times = asyncio.run(load(url, asked, process.pid))
            found[kind] = [cpu, rate, *(1e3 * np.quantile(times, (0.5, 0.99))).tolist()]
        return found
    finally:
        process.terminate()
        process.wait()


def _kinds(family: str, together: int) -> dict[str, tuple[str, dict]]:
    """What is asked; log_prob of `normal` only, as a VAE's takes 500 samples and is no matter of HTTP.

    Without batching a request has a seed of its own: no other draws its block.
    """
    x = np.random.default_rng(0).integers(0, 2, (1, 28, 28, 1))
    seeded = {"count": 4, "seed": 0, "format": "json"}
    free = {"count": 4, "format": "json"}
    found = {
        "sample, own seeds": ("sample", seeded),
        "sample, no seed": ("sample", seeded if together == 1 else free),
        "log_prob": ("log_prob", {"x": x.tolist()}),
    }
    return found if family == "normal" else dict(list(found.items())[:2])


def main() -> None:
    """Prints a table."""
    print(
        f"{CLIENTS} clients, {SECONDS:g} s    | alone: CPU ms, req/s, p50 ms, p99 ms | together: the same | CPU alone / together"
    )
    for number, family in enumerate(sys.argv[1:] or FAMILIES):
        alone, together = (measure(family, most, 18_080 + 2 * number + (most > 1)) for most in (1, 64))
        for kind in alone:
            told = " | ".join("  ".join(f"{v:8.1f}" for v in one[kind]) for one in (alone, together))
            print(f"{family:7s} {kind:18s} | {told} | {alone[kind][0] / together[kind][0]:.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
