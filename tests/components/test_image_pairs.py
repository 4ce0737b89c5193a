"""pairs: and unpaired: who belongs to whom, and what is done with those that belong to nobody."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import ConfigError, DataError
from components.image_sources import pairs
from components.ingest import ingest
from components.modalities import Record, Rejected, images
from components.settings import DataSettings
from tests.components.odd_files import BLUE, GREEN, RED, saved


def found(source: str, **options: Any) -> dict[str, Record | Rejected]:
    """Key → what the source yields, each chunk told as JSON would tell it."""
    settings = images.Read.parse(options)
    images.preflight(source, settings)
    chunks = json.loads(json.dumps(images.plan(source, settings)))
    every = [one for chunk in chunks for one in images.read(chunk, settings)]
    by_key = {one.key: one for one in every if isinstance(one, Record | Rejected)}
    assert len(by_key) == len(every)
    return by_key


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (4, 2)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
    path.write_bytes(saved(Image.new("RGB", size, colour), kind))


def colours(one: Record | Rejected, suffix: str = "") -> list[int]:
    """The mean colour of an image of one record."""
    assert isinstance(one, Record), one
    shape = [one.fields[f"{side}{suffix}"] for side in ("height", "width", "channels")]
    values = np.frombuffer(one.fields[f"pixels{suffix}"], np.uint8).reshape(shape)
    return [round(float(mean)) for mean in values.mean((0, 1))]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A holds red pictures and B blue ones: two that match, one of them with another suffix."""
    picture(tmp_path / "A/x/1.png", RED)
    picture(tmp_path / "B/x/1.png", BLUE)
    picture(tmp_path / "A/2.png", RED)
    picture(tmp_path / "B/2.jpg", BLUE)
    return tmp_path


# -- two folders ---------------------------------------------------------------------------------------


def test_files_of_one_name_are_a_pair(two: Path) -> None:
    records = found(f"pairs:{two}/A,{two}/B", resize=8)
    assert sorted(records) == ["2.png", "x/1.png"]
    for record in records.values():
        assert colours(record) == list(RED)
        assert np.allclose(colours(record, "_y"), BLUE, atol=2)
        assert isinstance(record, Record)
        assert record.fields["height_y"] == 8
        assert record.fields["domain"] is None


def test_files_without_a_partner_or_with_two_are_rejected(two: Path) -> None:
    picture(two / "A/lone.png", RED)
    picture(two / "B/x/other.png", BLUE)
    picture(two / "B/2.png", BLUE)
    rules = {
        key: one.rule for key, one in found(f"pairs:{two}/A,{two}/B").items() if isinstance(one, Rejected)
    }
    assert rules == {"lone.png": "no-partner", "x/other.png": "no-partner", "2.png": "two-partners"}


def test_a_broken_half_takes_the_pair_with_it(two: Path) -> None:
    (two / "B/2.jpg").write_bytes(b"")
    (two / "A/x/1.png").write_bytes((two / "A/x/1.png").read_bytes()[:50])
    records = found(f"pairs:{two}/A,{two}/B")
    assert {key: one.rule for key, one in records.items() if isinstance(one, Rejected)} == {
        "2.png": "empty-file",
        "x/1.png": "truncated",
    }
    assert "partner in B" in str(records["2.png"])


def test_folders_that_share_no_name_are_one_sentence(tmp_path: Path) -> None:
    picture(tmp_path / "A/1.png", RED)
    picture(tmp_path / "B/2.png", BLUE)
    with pytest.raises(DataError, match="no image of the one has the name"):
        found(f"pairs:{tmp_path}/A,{tmp_path}/B")


def test_archives_are_paired_below_their_top_folders(two: Path) -> None:
    for side in "AB":
        with zipfile.ZipFile(two / f"{side}.zip", "w") as archive:
            names = sorted((path for path in (two / side).rglob("*.*")), reverse=side == "A")
            for path in names:
                archive.write(path, f"set{side}/{path.relative_to(two / side)}")
    records = found(f"pairs:{two}/A.zip,{two}/B.zip")
    assert sorted(records) == ["setA/2.png", "setA/x/1.png"]
    assert colours(records["setA/x/1.png"], "_y") == list(BLUE)


def test_chunks_hold_pairs_of_together_8_mb(tmp_path: Path) -> None:
    for i in range(5):
        for side in "AB":
            picture(tmp_path / f"{side}/{i}.png", RED)
            with (tmp_path / f"{side}/{i}.png").open("ab") as file:
                file.write(bytes(1_500_000))
    chunks = pairs.plan(f"pairs:{tmp_path}/A,{tmp_path}/B", images.Read())
    assert [len(chunk["pairs"]) for chunk in chunks] == [2, 2, 1]
    assert len(found(f"pairs:{tmp_path}/A,{tmp_path}/B")) == 5


# -- side by side --------------------------------------------------------------------------------------


def double(path: Path, width: int = 8) -> None:
    values = np.zeros((4, width, 3), np.uint8)
    values[:, : width // 2], values[:, width // 2 :] = RED, GREEN
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.mark.parametrize(("order", "first", "second"), [("ab", RED, GREEN), ("ba", GREEN, RED)])
def test_a_double_image_is_cut_in_halves(tmp_path: Path, order: str, first: Any, second: Any) -> None:
    double(tmp_path / "1.png")
    double(tmp_path / "odd.png", width=7)
    records = found(f"pairs:{tmp_path}", side_by_side=order, resize=6)
    record, odd = records["1.png"], records["odd.png"]
    assert colours(record) == list(first)
    assert colours(record, "_y") == list(second)
    assert isinstance(record, Record)
    assert [record.fields["height"], record.fields["width_y"]] == [6, 6]
    assert isinstance(odd, Rejected)
    assert odd.rule == "odd-width"


# -- two sets ------------------------------------------------------------------------------------------


def test_unpaired_sets_are_of_two_domains(two: Path) -> None:
    picture(two / "B/more.png", BLUE)
    (two / "A/empty.png").write_bytes(b"")
    records = found(f"unpaired:{two}/A,{two}/B")
    domains = {key: one.fields["domain"] for key, one in records.items() if isinstance(one, Record)}
    assert domains == {"A/2.png": "A", "A/x/1.png": "A", "B/2.jpg": "B", "B/more.png": "B", "B/x/1.png": "B"}
    assert colours(records["A/2.png"]) == list(RED)
    assert colours(records["B/more.png"]) == list(BLUE)
    assert isinstance(records["A/empty.png"], Rejected)
    assert len(images.files(f"unpaired:{two}/A,{two}/B")) == 6


# -- what cannot be meant ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("pairs:{}/A", {}, "side_by_side: ab or ba"),
        ("unpaired:{}/A", {"side_by_side": "ab"}, "unpaired:A,B"),
        ("pairs:{0}/A,{0}/B", {"side_by_side": "ab"}, "for one folder of double images"),
        ("pairs:{0}/A,{0}/B,{0}/C", {}, "names 3 folders"),
        ("pairs:{0}/A,{0}/B", {"labels": "x.csv"}, "leave them out"),
    ],
)
def test_sources_that_cannot_be_meant(two: Path, source: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        found(source.format(two), **options)


@pytest.mark.parametrize("source", ["pairs:{0}/A,{0}/nowhere", "unpaired:{0}/A,", "pairs:"])
def test_folders_that_are_not_there(two: Path, source: str) -> None:
    with pytest.raises((DataError, ConfigError)) as error:
        found(source.format(two))
    assert "\n" not in str(error.value)


def test_a_comma_may_be_in_the_name_of_a_folder(tmp_path: Path) -> None:
    double(tmp_path / "red, green/1.png")
    assert list(found(f"pairs:{tmp_path}/red, green", side_by_side="ab")) == ["1.png"]


def test_pairs_and_sets_are_ingested_with_counts(two: Path) -> None:
    picture(two / "A/lone.png", RED)
    pair = ingest(DataSettings(source=f"pairs:{two}/A,{two}/B"), two / "pair records")
    assert (pair["counts"]["read"], pair["counts"]["rejected"]) == (3, 1)
    sets = ingest(DataSettings(source=f"unpaired:{two}/A,{two}/B"), two / "set records")
    assert (sets["counts"]["read"], sets["counts"]["rejected"]) == (5, 0)
