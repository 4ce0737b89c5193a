"""The main job from end to end: raw data in, a published model out; again, changed, refused, two at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

from components.artifacts import read_json
from components.bundle import check_bundle
from pipelines.screen import Screen
from tests.pipelines.line import (
    ROOT,
    STEPS,
    changes,
    copy_of_code,
    facts,
    finish,
    folder_with_recipe,
    mozart,
    runs,
    start,
)

REFUSING = changes("gates.limits={classifier_fid: {max: 0.001}}")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A folder whose home has seen one run, and what that run said."""
    folder = folder_with_recipe(tmp_path_factory.mktemp("line"))
    return folder, mozart(folder, "run", "tiny.yaml")


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/home/registry/mlflow.db")


def versions(folder: Path) -> list[int]:
    found = client(folder).search_model_versions("name = 'tiny'")
    return sorted(int(version.version) for version in found)


def champion(folder: Path) -> int:
    return int(client(folder).get_model_version_by_alias("tiny", "champion").version)


# -- the first run -------------------------------------------------------------------------------------


def test_the_first_run_says_seven_lines_and_publishes_version_1(line):
    _, first = line
    assert (first.returncode, first.stderr) == (0, "")
    lines = [said for said in first.stdout.splitlines() if said.startswith("✓")]
    assert [said.split()[1:3] for said in lines] == [[f"{i}/7", step] for i, step in enumerate(STEPS, 1)]
    assert "version 1 of 'tiny' is published and is the champion" in lines[-1]


def test_its_folder_tells_the_whole_story(line):
    folder, first = line
    (run,) = runs(folder)[:1]
    assert f"report   {run / 'report.html'}" in first.stdout
    assert "version 1" in (run / "report.html").read_text("utf-8")
    told = facts(folder, 0)
    assert list(told["artifacts"]) == sorted(STEPS)
    assert (told["error"], told["cached"], told["release"]["version"]) == (None, [], 1)
    assert all((run / step / "task.log").stat().st_size for step in STEPS)
    assert not [path for path in (folder / "home").rglob("*") if path.name.endswith(".tmp")]


def test_mlflow_alone_finds_tags_metrics_and_the_bundle(line):
    folder, _ = line
    version = client(folder).get_model_version_by_alias("tiny", "champion")
    assert version.tags["mozart.family"] == "normal"
    bundle = Path(version.source.removeprefix("file://"))
    assert bundle.name == version.tags["mozart.bundle"]
    check_bundle(bundle)
    measured = read_json(bundle / "evaluation.json")["validation"]["classifier_fid"]["value"]
    metrics = client(folder).get_run(version.run_id).data.metrics
    assert metrics["validation.classifier_fid"] == measured
    assert "test.classifier_fid" in metrics


def test_a_consumer_loads_the_champion_and_uses_it(line):
    folder, _ = line
    code = (
        "import json; from components.registry import load; model = load('tiny@champion'); "
        "x = model.sample(4, seed=1); print(json.dumps([x.shape, len(model.log_prob(x))]))"
    )
    environment = {**os.environ, "MOZART_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[4, 8, 8, 1], 4]


# -- the next runs -------------------------------------------------------------------------------------


def test_again_in_a_terminal_all_but_publishing_is_cached(line):
    folder, _ = line
    before = versions(folder)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "MOZART_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "run", "tiny.yaml"],
        cwd=folder,
        env={**environment, "TERM": "xterm", "COLUMNS": "80"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while more := os.read(ours, 4096):
                said += more
        except OSError:  # Linux tells the end of a terminal so
            pass
    os.close(ours)
    assert process.returncode == 0
    text = said.decode()
    assert text.count("cached") == 6
    assert "INFO" not in text, "the local runner's own words are kept off the screen"
    assert facts(folder)["cached"] == sorted(STEPS[:-1])
    assert versions(folder) == before


def test_other_gates_judge_again_without_training_and_a_refusal_publishes_nothing(line):
    folder, _ = line
    before = versions(folder), champion(folder)
    done = mozart(folder, "run", "tiny.yaml", *REFUSING)
    assert done.returncode == 6
    assert "gate 2 refused the model; nothing was published" in done.stderr
    assert "and its maximum is 0.001" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    told = facts(folder)
    assert {"ingest", "statistics", "transform", "train"} <= set(told["cached"])
    assert "evaluate" not in told["cached"]
    assert "publish" not in told["artifacts"]
    assert "and its maximum is" in (runs(folder)[-1] / "report.html").read_text("utf-8")
    assert (versions(folder), champion(folder)) == before


def test_two_at_once_are_two_versions_and_one_champion_that_can_be_rolled_back(line):
    folder, _ = line
    enough = ("evaluate.samples=320", "evaluate.classifier_epochs=15")  # for a verdict against a champion
    both = [start(folder, "run", "tiny.yaml", *changes(f"train.seed={seed}", *enough)) for seed in (1, 2)]
    done = [finish(process) for process in both]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert versions(folder) == [1, 2, 3]
    told = [facts(folder, -1), facts(folder, -2)]
    (winner,) = [one["release"]["version"] for one in told if one["release"]["champion"]]
    assert champion(folder) == winner
    for one in told:
        evaluation = read_json(Path(one["artifacts"]["evaluate"]) / "evaluation.json")
        assert evaluation["champion"]["version"] == 1
        gate_1 = read_json(Path(one["artifacts"]["validate"]) / "report.json")
        assert {entry["against"] for entry in gate_1["drift"]} == {"train", "champion"}
        assert any("for the champion (version 1)" in reason for reason in evaluation["verdict"]["reasons"])
    (loser,) = [one["release"]["message"] for one in told if not one["release"]["champion"]]
    assert "is registered, not promoted: version 1 was the champion when it was measured" in loser
    assert mozart(folder, "rollback", "tiny").stdout == "The champion of tiny is version 1 again.\n"
    assert champion(folder) == 1


def test_changed_code_runs_everything_again(line, tmp_path):
    folder, _ = line
    too_large = changes("train.batch_size=65536")  # gate 1 refuses it: three steps are enough to see
    same = mozart(folder, "run", "tiny.yaml", *too_large)
    assert same.returncode == 3
    assert facts(folder)["cached"] == ["ingest", "statistics"]
    code = copy_of_code(tmp_path, "components/home.py", "from __future__", "# changed\nfrom __future__")
    changed = mozart(folder, "run", "tiny.yaml", *too_large, code=code)
    assert (changed.returncode, facts(folder)["cached"]) == (3, [])


# -- samples -------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_bytes_in_another_process(line):
    folder, _ = line
    outs = ("one.png", "new/folder/two"), ("7", "7")
    both = [
        start(folder, "sample", "tiny:1", "--count", "9", "--seed", seed, "--out", out)
        for out, seed in zip(*outs)
    ]
    for process in both:
        done = finish(process)
        assert (done.returncode, done.stderr) == (0, "")
    digests = {
        hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in ("one.png", "new/folder/two.png")
    }
    assert len(digests) == 1
    names = sorted(path.name for path in (folder / "new/folder").iterdir())
    assert names == ["two.manifest.json", "two.png"]


def test_what_cannot_be_sampled_is_said_in_a_sentence(line):
    folder, _ = line
    misspelt = mozart(folder, "sample", "tinny")
    assert misspelt.returncode == 5
    assert "no model 'tinny'" in misspelt.stderr
    assert "did you mean 'tiny'?" in misspelt.stderr
    missing = mozart(folder, "sample", "tiny:99")
    assert missing.returncode == 5
    assert "model 'tiny' has no version 99" in missing.stderr
    other = mozart(folder, "sample", "tiny:1", "--count", "1", "--out", "grid.jpg")
    assert other.returncode == 2
    assert other.stderr == "--out grid.jpg: samples of this model are written as .png: name it grid.png\n"
    assert not (folder / "grid.jpg").exists()


@pytest.mark.slow
def test_a_short_text_becomes_a_model_that_writes_text(tmp_path):
    poem = "the moon is on the river and the river is under the moon\n"
    (tmp_path / "poem.txt").write_text(poem * 1200, "utf-8")
    settings = changes(
        "data.source=text:poem.txt",
        "data.encode.length=32",
        "model.config.states=3",
        "train.epochs=3",
        "evaluate.samples=16",
    )
    done = mozart(tmp_path, "run", "text-hmm", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "perplexity" in done.stdout
    drawn = mozart(tmp_path, "sample", "text-hmm", "--count", "3", "--seed", "1", "--out", "made")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    text = (tmp_path / "made.txt").read_text("utf-8")
    assert set(text) <= set(poem + "-\ufffd")


@pytest.mark.slow
def test_two_equal_runs_at_once_are_one_version(tmp_path):
    folder = folder_with_recipe(tmp_path)
    done = [finish(process) for process in [start(folder, "run", "tiny.yaml") for _ in range(2)]]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert (versions(folder), champion(folder)) == ([1], 1)


# -- the screen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [36, 44, 60, 100])
def test_the_bar_of_a_running_step_fits_on_one_line(width):
    paper = Console(width=width, file=io.StringIO())
    screen = Screen(Console(width=width, force_terminal=True, file=io.StringIO()), 7)
    screen.start("statistics")
    screen.tell({"step": 3, "of": 9, "discriminator_loss": 1.25, "generator_loss": 0.5})
    paper.print(screen.progress.get_renderable())
    screen.stop()
    (shown,) = paper.file.getvalue().splitlines()
    assert "1/7" in shown
    assert "statistics" in shown
    assert "0:00:00" in shown
    assert ("discriminator_loss 1.250" in shown) == (width == 100)
