"""Batching: one thread owns the model, and whoever waits meanwhile is answered together.

A model draws in blocks. Requests without a seed are given consecutive places in one stream of blocks and
are told which; requests with a seed get the samples of that seed, drawn once for all who ask for the same;
log-probabilities are put together in batches of a fixed size. So what a request is told never depends on
who else was there.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.serving.current import Served

SEEDS = 2**31 - 1
STREAM = 1 << 20  # places of one stream; then another seed begins
ROWS = 32  # examples in one call of log_prob
TOGETHER = 64  # requests that are answered at once


class Busy(Exception):
    """As many as are allowed are waiting already."""


@dataclass(frozen=True)
class Drawn:
    """Samples `first`, `first + 1`, ... of `seed`, and the version that drew them."""

    served: Served
    samples: np.ndarray
    seed: int
    first: int = 0


@dataclass(frozen=True)
class Wish:
    """`count` samples; of `seed` and under `condition` `[count]` where they are given."""

    count: int
    seed: int | None = None
    condition: np.ndarray | None = None


@dataclass(frozen=True)
class Question:
    """Examples `{"x": [n, ...], ...}` whose log-probability is asked for; answered by `(served, [n])`."""

    inputs: dict[str, np.ndarray]


@dataclass
class _Waiting:
    asked: Wish | Question
    answer: Future[Any] = field(default_factory=Future)


class Batcher:
    """The thread and its queue of at most `waiting` requests, of which `together` are answered at once."""

    def __init__(self, served: Callable[[], Served], waiting: int = 256, together: int = TOGETHER) -> None:
        self._served, self._together = served, together
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(waiting)
        self._stream = _Stream()
        self.told: Callable[[int], None] = lambda size: None  # called with the size of each batch
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._queue.qsize()

    def ask(self, asked: Wish | Question) -> Future[Any]:
        """The answer to come: Drawn for a Wish, `(Served, [n])` for a Question.

        Raises:
            Busy: the queue is full.
        """
        one = _Waiting(asked)
        try:
            self._queue.put_nowait(one)
        except queue.Full as error:
            raise Busy from error
        return one.answer

    def close(self) -> None:
        """Answers who waits, and ends."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, over = [first], False
            while len(batch) < self._together:
                try:
                    one = self._queue.get_nowait()
                except queue.Empty:
                    break
                if one is None:
                    over = True
                    break
                batch.append(one)
            self.told(len(batch))
            self._answer([one for one in batch if one.answer.set_running_or_notify_cancel()])
            if over:
                return

    def _answer(self, batch: list[_Waiting]) -> None:
        """Each group fails by itself."""
        served = self._served()
        groups: dict[Any, list[_Waiting]] = defaultdict(list)
        for one in batch:
            groups[_group(one.asked)].append(one)
        for group in groups.values():
            try:
                answers = self._answers(served, [one.asked for one in group])
            except Exception as error:  # whatever the model raises belongs to who asked
                for one in group:
                    one.answer.set_exception(error)
                continue
            for one, answer in zip(group, answers, strict=True):
                one.answer.set_result(answer)

    def _answers(self, served: Served, asked: list[Any]) -> list[Any]:
        if isinstance(asked[0], Question):
            return [(served, values) for values in log_probs(served, [one.inputs for one in asked])]
        if asked[0].condition is not None:
            return [
                Drawn(
                    served, served.model.sample(one.count, condition=one.condition, seed=one.seed), one.seed
                )
                for one in asked
            ]
        if asked[0].seed is None:
            return [self._stream.take(served, one.count) for one in asked]
        seed, most = asked[0].seed, max(one.count for one in asked)
        samples = _places(served, seed, 0, most)
        return [Drawn(served, samples[: one.count], seed) for one in asked]


def _group(asked: Wish | Question) -> Any:
    if isinstance(asked, Question):
        return tuple(sorted(asked.inputs))
    return (asked.seed, asked.condition is None)


class _Stream:
    """Places in the samples of one seed after another, each given away once."""

    def __init__(self) -> None:
        self._served: Served | None = None
        self._seed = self._place = 0
        self._block, self._samples = -1, np.zeros(0)

    def take(self, served: Served, count: int) -> Drawn:
        """The next `count` places."""
        if served is not self._served or self._place + count > STREAM:
            self._served, self._seed, self._place, self._block = served, secrets.randbelow(SEEDS), 0, -1
        first = self._place
        self._place += count
        found, size, place = [], 0, first
        while size < count:
            part = self._rest(served, place)[: count - size]
            found.append(part)
            size += len(part)
            place += len(part)
        return Drawn(served, np.concatenate(found), self._seed, first)

    def _rest(self, served: Served, place: int) -> np.ndarray:
        """The samples from `place` to the end of its block, which is kept."""
        block, within = divmod(place, _block_size())
        if block != self._block:
            self._samples, self._block = served.draw(self._seed, block), block
        return self._samples[within:]


def _places(served: Served, seed: int, first: int, count: int) -> np.ndarray:
    """Samples `first` to `first + count` of a seed."""
    size = _block_size()
    blocks = range(first // size, -(-(first + count) // size))
    found = np.concatenate([served.draw(seed, block) for block in blocks])
    return found[first - blocks[0] * size :][:count]


def log_probs(served: Served, asked: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """log p of each request's examples, in calls of ROWS rows, the last one filled up with the first row."""
    import tensorflow as tf

    joined = {name: np.concatenate([one[name] for one in asked]) for name in asked[0]}
    count = len(joined["x"])
    found = []
    for start in range(0, count, ROWS):
        rows = np.where(np.arange(start, start + ROWS) < count, np.arange(start, start + ROWS), 0)
        given = {name: tf.constant(values[rows]) for name, values in joined.items()}
        found.append(np.asarray(served.model.log_prob(given.pop("x"), **given), np.float64))
    ends = np.cumsum([len(one["x"]) for one in asked])
    return np.split(np.concatenate(found)[:count], ends[:-1])


def _block_size() -> int:
    from keras_models.base import BLOCK

    return BLOCK
