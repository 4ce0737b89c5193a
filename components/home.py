"""Where Mozart keeps what it makes on this machine: MOZART_HOME, by default `.mozart` here."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`MOZART_HOME` as an absolute path, or `.mozart` in the working directory."""
    return Path(os.environ.get("MOZART_HOME") or ".mozart").absolute()
