"""Samples made by anyone: folders of images and MIDI files, CSV files of series, and what goes wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from components.entrants import Entrant, entrant, foreign
from components.errors import ConfigError, DataError, MozartError
from components.examples import Examples
from components.midi import write_midi
from components.modalities import series
from components.scores import NOTE, Score, ordered
from components.settings import DataSettings
from pipelines.cli import app
from tests.components.tiny_examples import examples_of

LENGTH = 16
QUICK = ["--set", "evaluate.samples=40"]


def write_images(folder: Path, images: np.ndarray) -> Path:
    """One PNG an image `[n, H, W]` of 0 to 255."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{number:03}.png")
    return folder


def write_tunes(folder: Path, count: int, seed: int, channels: int = 4, together: int = 1) -> Path:
    """MIDI files of twelve quarters, `together` notes at once on each channel."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        rows = [
            (480 * quarter, 72 - 9 * voice + int(random.integers(7)) + 7 * more, voice, 480, 80, 0)
            for quarter in range(12)
            for voice in range(channels)
            for more in range(together)
        ]
        notes = ordered(np.array(rows, NOTE))
        (folder / f"{number:03}.mid").write_bytes(write_midi(Score(notes, 480, 12 * 480)))
    return folder


def write_series(path: Path, names: list[str], steps: int, seed: int, gap: int = -1) -> Path:
    """The long layout: day, name and value."""
    random = np.random.default_rng(seed)
    lines = ["day,name,height"]
    for name in names:
        values = 20 + random.normal(size=steps).cumsum()
        for step, value in enumerate(values):
            said = "" if step == gap else f"{value:.4f}"
            lines.append(f"{np.datetime64('2024-01-01') + step},{name},{said}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real data of three kinds, and samples of each from elsewhere."""
    root = tmp_path_factory.mktemp("entrants")
    digits = np.round(load_digits().images * (255 / 16))
    write_images(root / "digits", digits[:300])
    write_images(root / "drawn digits", digits[300:360])
    write_images(root / "large digits", np.kron(digits[300:320], np.ones((2, 2))))
    write_tunes(root / "tunes", 60, 0)
    write_tunes(root / "composed tunes", 40, 1)
    write_series(root / "trees.csv", ["ash", "oak"], 640, 0)
    write_series(root / "grown.csv", [f"g{number}" for number in range(40)], 2 * LENGTH + 5, 1)
    (root / "empty").mkdir()
    return root


READ = {"id": "name", "validation": 0.3, "test": 0.3}


@pytest.fixture(scope="module")
def trees(root: Path) -> tuple[DataSettings, Examples]:
    source, encode = f"series:{root / 'trees.csv'}", {"length": LENGTH, "stride": 4}
    data = DataSettings.parse({"source": source, "read": READ, "encode": encode})
    return data, examples_of(source, root / "made trees", read=READ, encode=encode)


def samples_of(path: Path, known: tuple[DataSettings, Examples], place: Path) -> np.ndarray:
    data, examples = known
    return foreign(Entrant(str(path), source=str(path)), data, examples.encoding, place / "records")


# -- series --------------------------------------------------------------------------------------------


def test_series_are_cut_into_windows_that_do_not_overlap(root: Path, trees: Any, tmp_path: Path) -> None:
    """Real series are cut by time into splits; samples are not, and a rest is no window."""
    found = samples_of(root / "grown.csv", trees, tmp_path)
    assert found.shape == (80, LENGTH, 1)
    rows = [line.split(",") for line in (root / "grown.csv").read_text().splitlines()[1:]]
    values = np.array([float(row[2]) for row in rows]).reshape(40, -1)[:, : 2 * LENGTH].reshape(80, LENGTH)
    mine = series.decode(found, trees[1].encoding)[..., 0]
    np.testing.assert_allclose(mine[np.argsort(mine[:, 0])], values[np.argsort(values[:, 0])], atol=1e-3)


def test_windows_with_gaps_are_no_samples(trees: Any, tmp_path: Path) -> None:
    """A gap is 0 in an example: as a sample it would be a value."""
    path = write_series(tmp_path / "gaps.csv", ["a", "b", "c"], 2 * LENGTH, 2, gap=3)
    assert len(samples_of(path, trees, tmp_path)) == 3


def test_short_series_are_refused(trees: Any, tmp_path: Path) -> None:
    path = write_series(tmp_path / "short.csv", ["a", "b"], LENGTH - 1, 2)
    with pytest.raises(DataError, match=f"none has {LENGTH} steps without a gap"):
        samples_of(path, trees, tmp_path)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_mozart_sample_wrote_comes_back(tmp_path: Path, channels: int) -> None:
    names = ["wet", "dry"] if channels == 2 else ["value"]
    encoding = {
        "modality": "series", "length": LENGTH, "stride": 4, "channels": names, "log": False, "series": ["a"],
        "mean": [20.0] * channels, "std": [3.0] * channels,
        "covariates": {"names": ["sun"], "mean": [0.0], "std": [1.0]},
    }  # fmt: skip
    read = {"time": "hour", "channels": names, "context": 4, "covariates": ["sun"]}
    random = np.random.default_rng(0)
    drawn = random.normal(size=(12, LENGTH, channels)).astype(np.float32)
    written = series.write_samples(drawn, encoding, tmp_path / "samples")
    one, data = Entrant(str(written), source=str(written)), DataSettings(source="series:x", read=read)
    found = foreign(one, data, encoding, tmp_path / "records")
    np.testing.assert_allclose(
        found[np.argsort(found[:, 0, 0])], drawn[np.argsort(drawn[:, 0, 0])], rtol=1e-5, atol=1e-6
    )


# -- music ---------------------------------------------------------------------------------------------


def voices() -> dict[str, Any]:
    """The encoding of chorales, as far as samples need it."""
    return {
        "modality": "music", "form": "voices", "grid": 4, "length": 48, "stride": 12, "low": 21, "high": 108,
        "tempo": 90.0, "velocity": 80,
    }  # fmt: skip


def test_pieces_of_four_voices_are_read_as_voices(root: Path, tmp_path: Path) -> None:
    path = root / "composed tunes"
    data = DataSettings(source=f"music:{root / 'tunes'}")
    found = foreign(Entrant(str(path), source=str(path)), data, voices(), tmp_path / "records")
    assert found.shape == (40, 4 * 48)
    assert (found[:, :4] > 1).all()  # all four begin with a pitch


@pytest.mark.parametrize("wrong", [{"channels": 5}, {"channels": 2, "together": 2}])
def test_other_pieces_are_no_voices(tmp_path: Path, wrong: dict[str, int]) -> None:
    path = write_tunes(tmp_path / "tunes", 3, 0, **wrong)
    with pytest.raises(DataError, match="each one note at a time"):
        foreign(Entrant("mine", source=str(path)), DataSettings(source="music:x"), voices(), tmp_path / "out")


# -- the commands --------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("samples", "data", "options", "metric"),
    [
        pytest.param(
            *("drawn digits", "images:digits", ["evaluate.classifier_epochs=1"], "copy_rate"),
            marks=pytest.mark.slow,
        ),
        ("composed tunes", "music:tunes", ["data.encode.length=64"], "feature_overlap"),
        (
            "grown.csv",
            "series:trees.csv",
            ["data.read.id=name", f"data.encode.length={LENGTH}"],
            "autocorrelation_distance",
        ),
    ],
)
def test_samples_of_any_kind_are_evaluated(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: str,
    data: str,
    options: list[str],
    metric: str,
) -> None:
    monkeypatch.chdir(root)
    change = [part for option in options for part in ("--set", option)]
    done = run("evaluate", root / samples, "--data", data, "--out", tmp_path / "out", *QUICK, *change)
    assert done.exit_code == 0, (done.output, done.exception)
    assert metric in done.output
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nowhere/"], "there is no file or folder 'nowhere/', and no model has such a name"),
        (["compare", "digits", "lost.csv", "--data", "images:digits"], "no file or folder 'lost.csv'"),
        (["evaluate", "nobody"], "no model 'nobody' is published"),
        (["evaluate", "digits"], "name the real data, e.g. --data images:FOLDER"),
        (["evaluate", "music:tunes", "--data", "images:digits"], "music:tunes holds other data"),
        (["evaluate", "tunes", "--data", "images:digits"], "there is no image in '"),
        (["evaluate", "digits", "--data", "music:tunes"], "there is no .mid or .midi file in '/"),
        (["evaluate", "grown.csv", "--data", "music:tunes"], "there is no .mid or .midi file"),
        (["evaluate", "empty", "--data", "images:digits"], "there is no image in '"),
        (["evaluate", "large digits", "--data", "images:digits"], "data.read.resize=SIDE makes them alike"),
        (["evaluate", "digits", "--data", "images:nowhere"], "nowhere"),
        (["evaluate", "digits", "--data", "pictures:digits"], "unknown source"),
    ],
)
def test_each_mistake_is_one_sentence(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(root)
    done = run(*arguments, "--out", tmp_path / "out")
    assert isinstance(done.exception, MozartError), done.exception
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_source_and_a_file_are_samples(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entrant(f"images:{root / 'digits'}").source == f"images:{root / 'digits'}"
    assert entrant(str(root / "grown.csv")).source == str(root / "grown.csv")
    monkeypatch.chdir(root)
    assert entrant("digits").source == str(root / "digits")  # the folder, not the source of that name
    with pytest.raises(ConfigError, match="no file or folder"):
        entrant(str(root / "grown.txt"))
