"""Where Mozart keeps what outlives a run: the registry, the runs, the caches."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder named by the environment variable `MOZART_HOME`, else `.mozart` here. Absolute."""
    return Path(os.environ.get("MOZART_HOME") or ".mozart").expanduser().absolute()
