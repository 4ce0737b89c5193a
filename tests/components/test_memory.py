"""No step holds a data set in memory: ten times the data, and the same peak."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SIDE = 64
STEPS = """
import json, sys
from pathlib import Path
from components.settings import DataSettings
step, source, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
data = DataSettings(source=source)
if step == "ingest":
    from components.ingest import ingest
    ingest(data, out / "records")
elif step == "statistics":
    from components.statistics import statistics
    statistics(out / "records", out / "statistics")
else:
    from components.transform import transform
    transform(out / "records", out / "statistics", out / "examples", data)
told = Path("/proc/self/status").read_text()  # ru_maxrss begins with the parent's
print(json.dumps(int(told.split("VmHWM:")[1].split()[0]) / 1024))
"""


def idx_file(folder: Path, count: int) -> Path:
    """`count` images of noise, a block at a time, as uncompressed idx files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "train-images-idx3-ubyte").open("wb") as stream:
        stream.write(b"\x00\x00\x08\x03" + struct.pack(">3I", count, SIDE, SIDE))
        for start in range(0, count, 2000):
            stream.write(rng.bytes(min(2000, count - start) * SIDE * SIDE))
    with (folder / "train-labels-idx1-ubyte").open("wb") as stream:
        stream.write(b"\x00\x00\x08\x01" + struct.pack(">I", count) + bytes(i % 10 for i in range(count)))
    return folder


def peaks(source: Path, out: Path) -> dict[str, float]:
    """Peak resident memory in MB of each step, in a process of its own."""
    found = {}
    for step in ("ingest", "statistics", "transform"):
        command = [sys.executable, "-c", STEPS, step, f"idx:{source}", str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        found[step] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_ten_times_the_data_need_no_more_memory(tmp_path: Path) -> None:
    few = peaks(idx_file(tmp_path / "few", 57_000), tmp_path / "small")  # 230 MB: full runs and shards
    many = peaks(idx_file(tmp_path / "many", 570_000), tmp_path / "large")  # 2.3 GB
    print(few, many)
    for step, peak in few.items():
        assert many[step] < 1.25 * peak, f"{step}: {peak:.0f} MB became {many[step]:.0f} MB"
