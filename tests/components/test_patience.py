"""A lock that another process holds: waited for, and at last said in a sentence."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from components.errors import RegistryError
from components.patience import held


def test_who_waits_too_long_is_told_what_holds_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "new" / "registry.lock"
    with held(file), pytest.raises(RegistryError, match=r"another process has held .*registry.lock for 0 s"):  # noqa: SIM117
        with held(file, seconds=0):
            pass
    with held(file, seconds=0):  # and it is free again
        pass


def test_those_who_wait_come_one_after_another(tmp_path: Path) -> None:
    inside, seen = [], []

    def work(number: int) -> None:
        with held(tmp_path / "lock"):
            inside.append(number)
            seen.append(len(inside))
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8
