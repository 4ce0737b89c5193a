"""One thread for numpy's products: where they are small, threads only wait for each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Within it, BLAS works on the calling thread alone."""
    limited: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> Any:
    """What sets their threads; to find the libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
