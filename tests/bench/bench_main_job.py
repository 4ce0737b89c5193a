"""How long the main job takes and what it needs: run by hand on a quiet machine.

    python tests/bench/bench_main_job.py [RECIPE] [--set key=value] [--json FILE]

`mozart run` in a home of its own with a ready environment, then the same again, all of it cached, and
`mozart --help`. The training loop's seconds come from its TensorBoard file; the evaluation is computed
once more from the run's folders in a process that has imported everything, and timed there. Nothing
here is asserted: a loaded machine would decide. The targets are beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MOZART = [sys.executable, "-m", "pipelines.cli"]
LINE = re.compile(r"^\S\s+\d/\d\s+(\w+)\s+(?:([\d.]+) s|cached)", re.MULTILINE)
TARGETS = {
    "total": "150 s",
    "everything else": "45 s",
    "cached again": "10 s",
    "--help": "0.5 s",
    "memory": "2.5 GB",
}
TIME_EVALUATION = """
import json, sys, tempfile, time
from pathlib import Path
import components.judge, keras_models.saving
from components.evaluate import evaluate
from pipelines.recipe import Recipe
facts = json.loads(Path(sys.argv[1]).read_text())
recipe, folders = Recipe.parse(facts["recipe"]), {k: Path(v) for k, v in facts["artifacts"].items()}
with tempfile.TemporaryDirectory() as out:
    began = time.perf_counter()
    evaluate(folders["transform"], folders["train"], Path(out) / "e", recipe.evaluate, recipe.gates)
    print("seconds", time.perf_counter() - began)
"""


def main() -> None:
    """Runs, prints the table, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="digits-dcgan")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, default=Path(".mozart/bench_main_job.json"))
    given = parser.parse_args()
    changes = [part for change in given.changes for part in ("--set", change)]
    with tempfile.TemporaryDirectory(prefix="mozart-bench-") as home:
        figures = measure([*MOZART, "run", given.recipe, *changes], Path(home))
    show(figures)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(f"\nwritten to {given.json}")


def measure(command: list[str], home: Path) -> dict[str, Any]:
    """All figures: seconds, and bytes by process."""
    load = os.getloadavg()
    seconds, output, peaks = run(command, home)
    facts = json.loads(next((home / "runs").glob("*/run.json")).read_text("utf-8"))
    steps = {name: float(took or 0) for name, took in LINE.findall(output)}
    training = training_seconds(Path(facts["artifacts"]["train"]), facts["recipe"]["train"]["epochs"])
    evaluation = evaluation_seconds(home)
    again, cached_output, _ = run(command, home)
    steps_again = {name: float(took) for name, took in LINE.findall(cached_output) if took}
    helps = [run([*MOZART, "--help"], home)[0] for _ in range(5)]
    return {
        "command": command[2:],
        "load_before": load,
        "processors": os.cpu_count(),
        "steps": steps,
        "total": seconds,
        "training loop": training,
        "evaluation": evaluation,
        "everything else": seconds - training - evaluation,
        "cached again": again,
        "steps again": steps_again,
        "--help": statistics.median(helps),
        "memory": peaks,
    }


def run(command: list[str], home: Path) -> tuple[float, str, dict[str, int]]:
    """Wall seconds, output, and the peak resident bytes of each process by its name."""
    environment = {**os.environ, "MOZART_HOME": str(home), "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peaks: dict[str, int] = {}
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(child.pid, peaks, over))
    watcher.start()
    output, _ = child.communicate()
    seconds = time.perf_counter() - began
    over.set()
    watcher.join()
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{output}")
    return seconds, output, peaks


def watch(root: int, peaks: dict[str, int], over: threading.Event) -> None:
    """Keeps the kernel's high-water mark (VmHWM) of `root` and all that descend from it."""
    while not over.wait(0.2):
        parents = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = dict(
                    line.split(":\t", 1)
                    for line in (folder / "status").read_text().splitlines()
                    if ":\t" in line
                )
                command = (folder / "cmdline").read_text().split("\0")
            except OSError:  # it has ended
                continue
            parents[int(folder.name)] = (
                int(status["PPid"]),
                int(status.get("VmHWM", "0 kB").split()[0]),
                command,
            )
        for process, (_, kilobytes, command) in parents.items():
            ancestor = process
            while ancestor in parents and ancestor != root:
                ancestor = parents[ancestor][0]
            if ancestor == root:
                name = name_of(process == root, command)
                peaks[name] = max(peaks.get(name, 0), kilobytes * 1024)


def name_of(is_root: bool, command: list[str]) -> str:
    """The step that a process works for, as its command line says."""
    if is_root:
        return "mozart"
    if "--function_to_execute" in command and "kfp.dsl.executor_main" in command:
        return command[command.index("--function_to_execute") + 1]
    return "others"


def training_seconds(model: Path, epochs: int) -> float:
    """From the first epoch's end (when the file was made, as its name says) to the last, and one more."""
    file = next((model / "tensorboard" / "train").glob("events.out.tfevents.*"))
    span = file.stat().st_mtime - int(file.name.split(".")[3])
    return span * epochs / max(epochs - 1, 1)


def evaluation_seconds(home: Path) -> float:
    """The evaluation of the run in `home`, computed once more without a process's start and imports."""
    facts = next((home / "runs").glob("*/run.json"))
    _, output, _ = run([sys.executable, "-c", TIME_EVALUATION, str(facts)], home)
    return float(re.findall(r"^seconds ([\d.]+)$", output, re.MULTILINE)[-1])


def show(figures: dict[str, Any]) -> None:
    """The table on the screen."""
    load = ", ".join(f"{value:.2f}" for value in figures["load_before"])
    print(f"{' '.join(figures['command'])}: {figures['processors']} processors, load before {load}\n")
    for name, seconds in figures["steps"].items():
        print(f"  {name:<18}{seconds:8.1f} s")
    print()
    for name in ("training loop", "evaluation", "everything else", "total", "cached again", "--help"):
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        print(f"  {name:<18}{figures[name]:8.2f} s{target}")
    ran = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in figures["steps again"].items())
    print(f"  not from the cache the second time: {ran or 'nothing'}")
    print()
    for name, peak in figures["memory"].items():
        print(f"  {name:<18}{peak / 1e9:8.2f} GB   target {TARGETS['memory']}")


if __name__ == "__main__":
    main()
