"""What can go wrong in the main job: one clear sentence, its exit code, no traceback, nothing lost.

Interrupted, killed or out of room, the same command goes on from where it stopped.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from components.artifacts import read_json
from tests.pipelines.line import (
    GAN,
    changes,
    copy_of_code,
    facts,
    finish,
    folder_with_recipe,
    mozart,
    processes,
    runs,
    start,
    wait_until,
)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at Linux' /proc or mounts")
BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `tiny.yaml` and a few things that are not what they should be."""
    folder = folder_with_recipe(tmp_path_factory.mktemp("faults"))
    (folder / "nothing").mkdir()
    (folder / "empty.txt").touch()
    (folder / "hostile.yaml").write_text(BILLION_LAUGHS)
    (folder / "twice.yaml").write_text("name: a\nname: b\n")
    return folder


def complaint(done) -> str:
    """What it says on standard error: never a traceback."""
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


# -- before anything runs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["digit-dcgan"], 2, "unknown recipe 'digit-dcgan' — did you mean 'digits-dcgan'?"),
        (["tiny.yaml", *changes("model.family=norml")], 2, "unknown family 'norml' — did you mean 'normal'?"),
        (["tiny.yaml", *changes("train.epoch=1")], 2, "unknown key 'train.epoch' — did you mean 'epochs'?"),
        (["tiny.yaml", *changes("data.source=digit")], 2, "unknown source — did you mean 'digits'?"),
        (["tiny.yaml", *changes("train.epochs=0")], 2, "train.epochs: 0 is below the smallest value 1"),
        (["twice.yaml"], 2, "twice.yaml:2: the key 'name' stands here again"),
        (["hostile.yaml"], 2, "hostile.yaml:1: "),
        (["text-hmm"], 2, "it needs your own file: add e.g. --set data.source=text:path/to/my/file"),
        (["tiny.yaml", *changes("data.source=images:no/where")], 3, "there is no file or folder 'no/where'"),
        (
            ["tiny.yaml", *changes("data.source=images:nothing")],
            3,
            "there is no image in 'nothing'",
        ),
        (["text-hmm", *changes("data.source=text:empty.txt")], 3, "the file 'empty.txt' is empty"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(place, arguments, code, said):
    done = mozart(place, "run", *arguments)
    assert done.returncode == code
    assert said in complaint(done)
    assert len(done.stderr.splitlines()) == 1
    assert not (place / "home").exists()


@pytest.mark.parametrize(
    ("home", "why"), [("tiny.yaml", "it is a file"), ("tiny.yaml/below", "Not a directory")]
)
def test_a_home_that_is_no_folder_is_a_resource_error(place, home, why):
    done = mozart(place, "run", "tiny.yaml", MOZART_HOME=str(place / home))
    assert done.returncode == 4
    assert complaint(done) == (
        f"MOZART_HOME '{place / home}' is no folder that can be written ({why}): set it to one of yours\n"
    )


# -- gates ---------------------------------------------------------------------------------------------


def test_gate_1_tells_all_that_is_wrong_with_a_folder_of_images(place):
    noise, source = random.Random(0), place / "cats"
    source.mkdir()
    for i in range(60):
        side = 8 if i % 5 else 12
        pixels = Image.frombytes("L", (side, side), noise.randbytes(side * side))
        pixels.save(source / f"{i}.png")
    for i in range(3):
        (source / f"broken-{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    done = mozart(place, "run", "tiny.yaml", *changes("data.source=images:cats"))
    assert done.returncode == 3
    said = complaint(done)
    assert "gate 1 refused the data; nothing was trained" in said
    rejected = Path(facts(place)["artifacts"]["ingest"]) / "rejected/rejected.jsonl"
    assert "3 of 63 records (4.8%) cannot be read, and the recipe tolerates 1.0%" in said
    assert f"all are in {rejected}" in said
    assert len(rejected.read_text("utf-8").splitlines()) == 3
    assert "fewer than one batch of 64: give more data or set train.batch_size lower" in said
    assert "the images have 2 different sizes" in said
    assert "set data.read.resize" in said
    assert "gate 2 asks for classifier_fid, which needs labelled images of two classes or more" in said
    assert "one subfolder a class" in said
    assert "the images have 2 different sizes" in (runs(place)[-1] / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_an_untrained_model_is_refused_by_gate_2(place):
    rates = "generator_learning_rate: 0.0000001, discriminator_learning_rate: 0.0000001"
    untrained = f"model={{family: dcgan, config: {{width: 8, {rates}}}}}"
    floors = "evaluate.floors=[{family: normal, config: {covariance: diagonal}}]"
    done = mozart(place, "run", "tiny.yaml", *changes(untrained, floors, "evaluate.classifier_epochs=20"))
    assert done.returncode == 6
    assert "gate 2 refused the model; nothing was published:" in complaint(done)
    assert "not better than" in done.stderr
    assert not (place / "home/bundles").exists()


# -- faults of Mozart's own ----------------------------------------------------------------------------


def test_a_fault_in_a_step_shows_its_end_and_where_the_rest_is(tmp_path):
    code = copy_of_code(
        tmp_path / "code",
        "components/statistics.py",
        "from components.dataflow import run\n",
        "from components.dataflow import run\nimport a_module_that_is_not_there\n",
    )
    folder = folder_with_recipe(tmp_path)
    done = mozart(folder, "run", "tiny.yaml", code=code)
    assert done.returncode == 1
    log = runs(folder)[-1] / "statistics/task.log"
    assert f"step 'statistics' failed; the last lines of {log} are" in done.stderr
    assert "ModuleNotFoundError: No module named 'a_module_that_is_not_there'" in done.stderr
    assert len(done.stderr.splitlines()) < 15
    assert "Traceback" in log.read_text("utf-8")
    assert "✗ 2/7 statistics" in done.stdout
    assert "a_module_that_is_not_there" in facts(folder)["error"]


def test_a_report_that_fails_does_not_hide_why_the_run_failed(tmp_path):
    code = copy_of_code(
        tmp_path / "code", "components/report.py", "from __future__", "import not_there\nfrom __future__"
    )
    folder = folder_with_recipe(tmp_path)
    done = mozart(folder, "run", "tiny.yaml", *changes("train.batch_size=65536"), code=code)
    assert done.returncode == 3
    assert "gate 1 refused the data" in complaint(done)
    assert "no report was written: " in done.stdout
    assert "gate 1 refused the data" in facts(folder)["error"]


# -- stopped and killed --------------------------------------------------------------------------------


def snapshots(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("home/snapshots/*/*.safetensors")}


def in_training(folder: Path, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The run, as soon as its training has written one more snapshot."""
    before = snapshots(folder)
    wait_until(lambda: snapshots(folder) - before or process.poll() is not None)
    assert process.poll() is None, finish(process)
    return process


def stopped(folder: Path, process: subprocess.Popen[str], number: int) -> subprocess.CompletedProcess[str]:
    """The run's end after a signal; no process of it may be left."""
    process.send_signal(number)
    done = finish(process)
    wait_until(lambda: not processes(folder), 10 if number == signal.SIGKILL else 1)
    return done


@linux
def test_stopped_twice_and_killed_it_ends_its_children_and_comes_to_the_same_model(tmp_path):
    broken, whole = (folder_with_recipe(tmp_path / name) for name in ("broken", "whole"))
    command = "run", "tiny.yaml", *changes(*GAN)
    first = stopped(broken, in_training(broken, start(broken, *command)), signal.SIGINT)
    assert first.returncode == 130
    assert "stopped in step 'train': the same command goes on from there" in first.stdout
    assert complaint(first).strip() == ""
    assert snapshots(broken)

    second = stopped(broken, in_training(broken, start(broken, *command)), signal.SIGTERM)
    assert (second.returncode, complaint(second)) == (143, "")
    assert second.stdout.count("cached") == 4
    third = stopped(broken, in_training(broken, start(broken, *command)), signal.SIGKILL)
    assert third.returncode == -signal.SIGKILL

    models = []
    for folder in (broken, whole):
        process = start(folder, *command)
        wait_until(lambda: list(folder.glob("home/runs/*/evaluate/task.log")))  # noqa: B023
        stopped(folder, process, signal.SIGTERM)  # outside of training a step just ends
        assert process.returncode == 143
        (model,) = folder.glob("home/runs/*/train/trained/model.json")
        models.append(read_json(model)["digest"])
    assert models[0] == models[1]
    assert not snapshots(broken)
    logs = [(run / "train/task.log").read_text("utf-8") for run in runs(broken)]
    assert "stopped at step" in logs[0]
    assert all("going on from the snapshot of step" in log for log in logs[1:])
    assert not (broken / "home/bundles").exists()


# -- no room -------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A home on a small disk of its own, and how to change its size in KiB."""
    home = tmp_path / "home"
    home.mkdir()

    def size(kilobytes: int, *remount: str) -> bool:
        options = ",".join([*remount, f"size={kilobytes}k"])
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if shutil.which("mount") is None or not size(40_000):
        pytest.skip("a small disk cannot be mounted here (root only)")
    yield folder_with_recipe(tmp_path), lambda kilobytes: size(kilobytes, "remount")
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.mark.slow
@linux
def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(disk):
    folder, resize = disk

    def aliases() -> dict[int, list[str]]:
        client = MlflowClient(f"sqlite:///{folder}/home/registry/mlflow.db")
        numbers = [found.version for found in client.search_model_versions("name = 'tiny'")]
        return {int(number): list(client.get_model_version("tiny", number).aliases) for number in numbers}

    assert mozart(folder, "run", "tiny.yaml").returncode == 0
    another = "run", "tiny.yaml", *changes("train.seed=5")
    failed = set()
    for room in (40, 300, 560):  # KiB: too little for training, for the evaluation, for publishing
        assert resize(shutil.disk_usage(folder / "home").used // 1024 + room)
        done = mozart(folder, *another)
        assert done.returncode == 4
        assert "the disk is full" in complaint(done)
        assert "run again" in done.stderr
        assert aliases() == {1: ["champion"]}
        failed |= {line.split()[2] for line in done.stdout.splitlines() if line.startswith("✗")}
    assert failed == {"train", "evaluate", "publish"}
    assert resize(40_000)
    done = mozart(folder, *another)
    assert done.returncode == 0, done.stderr
    assert {"train", "evaluate"} <= set(facts(folder)["cached"]), "what was finished is not done again"
    assert aliases() == {1: [], 2: ["champion"]}
