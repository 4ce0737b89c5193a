"""What a file is decoded to, or the rule by which it is rejected; and the crafted files, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.decoding import Look, Unreadable, pixels_of
from tests.components.odd_files import crafted

CRAFTED = crafted()


def decoded(data: bytes | Path, **look: Any) -> np.ndarray:
    return pixels_of(data, Look.parse(look))


def rule_of(data: bytes | Path, **look: Any) -> str:
    with pytest.raises(Unreadable) as refused:
        decoded(data, **look)
    assert refused.value.reason
    assert refused.value.remedy
    assert "0x" not in refused.value.reason
    return refused.value.rule
