"""A preference study: balanced, blind, whole or not there, and of anything that a person can look at."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.artifacts import read_json, write_json
from components.errors import ConfigError, DataError, RegistryError, ResourceError
from components.study import study
from components.study_plan import needed, plan
from components.study_shown import SHOWN_SIDE, read_samples, shown
from tests.components.publishing import bundle_folder, evaluation_of, reseal
from tests.components.study_samples import MAKE, NAMES, pictures, tables, texts, tunes


def page_of(folder: Path) -> dict[str, Any]:
    """What the page is given."""
    html = (folder / "index.html").read_text("utf-8")
    return json.loads(html.split('<script type="application/json" id="study">')[1].split("</script>")[0])


# -- which pairs ---------------------------------------------------------------------------------------


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.integers(2, 5), st.integers(10, 60), st.integers(0, 5))
def test_pairs_sides_and_repeats_are_balanced(models, pairs, seed):
    planned, repeats = plan(models, pairs, np.random.default_rng(seed))
    first = [pair for pair, again in zip(planned, repeats, strict=True) if again < 0]
    assert len(first) == pairs
    met = Counter(frozenset((pair.left, pair.right)) for pair in first)
    assert len(met) == models * (models - 1) // 2
    assert max(met.values()) - min(met.values()) <= 1
    for ends in met:
        on_the_left = sum(pair.left == min(ends) for pair in first if {pair.left, pair.right} == ends)
        assert abs(2 * on_the_left - met[ends]) <= 1
    shown_items = [(pair.left, pair.left_item) for pair in first] + [(p.right, p.right_item) for p in first]
    assert len(set(shown_items)) == 2 * pairs  # no sample in two pairs
    assert Counter(side for side, _ in shown_items) == dict(enumerate(needed(models, pairs)))
    places = [(i, again) for i, again in enumerate(repeats) if again >= 0]
    assert len({again for _, again in places}) == len(places) == max(pairs // 10, 1)
    for place, again in places:
        assert again < place
        assert planned[place] == planned[again].swapped()


def test_the_seed_draws_the_order():
    orders = [plan(2, 30, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_the_number_of_pairs_has_bounds():
    assert needed(3, 3) == [2, 2, 2]
    for pairs in (0, 2, 1001):
        with pytest.raises(ConfigError, match=f"--pairs {pairs}: 3 models make 3 pairs"):
            needed(3, pairs)


# -- the page ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKE)
def test_nothing_that_is_sent_names_a_model_or_a_file(kind, tmp_path):
    names = [str(MAKE[kind](tmp_path / name, 6, i)) for i, name in enumerate(NAMES)]
    made = study(names, tmp_path / "out", pairs=6)
    assert made.kind == kind
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["index.html", "key.json"]
    sent = made.page.read_bytes()
    hidden = re.findall(rb"data:image/png;base64,([A-Za-z0-9+/=]+)", sent)
    for data in (sent, *map(base64.b64decode, hidden)):
        for name in NAMES:
            assert name.encode() not in data
    key = read_json(made.key)
    assert key["models"] == names
    asked = [one["id"] for one in page_of(tmp_path / "out")["questions"]]
    assert sorted(asked) == sorted(key["questions"])
    assert all(re.fullmatch("[0-9a-f]{8}", name) for name in asked)


def test_the_order_in_the_page_does_not_tell_the_models_apart(tmp_path):
    names = [str(pictures(tmp_path / name, 40, i)) for i, name in enumerate(NAMES[:2])]
    made = study(names, tmp_path / "out", pairs=40)
    page, key = page_of(tmp_path / "out"), read_json(made.key)
    of = {}
    for one in page["questions"]:
        of[one["left"]] = key["questions"][one["id"]]["left"]
        of[one["right"]] = key["questions"][one["id"]]["right"]
    drawn = [of[item] for item in page["items"]]
    changes = sum(a != b for a, b in itertools.pairwise(drawn))
    assert 20 <= changes <= 60  # of 79, as by chance: one after the other would be 1, in turn 79
    assert list(page["items"]) != sorted(page["items"])


def test_the_key_says_what_each_picture_is(tmp_path):
    from PIL import Image

    names = [str(pictures(tmp_path / name, 8, i)) for i, name in enumerate(NAMES[:2])]
    made = study(names, tmp_path / "out", pairs=8)
    page, key = page_of(tmp_path / "out"), read_json(made.key)
    for one in page["questions"]:
        for side in ("left", "right"):
            entry = key["questions"][one["id"]]
            file = Path(names[entry[side]]) / entry[f"{side}_sample"]
            data = base64.b64decode(page["items"][one[side]].split(",")[1])
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(Image.open(file)))


def test_how_an_image_was_saved_cannot_be_told(tmp_path):
    """Grey, transparent, JPEG: all become the same sort of PNG."""
    from PIL import Image

    grey, clear = tmp_path / "grey", tmp_path / "clear"
    grey.mkdir()
    clear.mkdir()
    for i in range(4):
        Image.new("L", (8, 8), 40 * i).save(grey / f"{i}.jpg")
        Image.new("RGBA", (8, 8), (9 * i, 0, 0, 128)).save(clear / f"{i}.png")
    study([str(grey), str(clear)], tmp_path / "out", pairs=4)
    heads = set()
    for url in page_of(tmp_path / "out")["items"].values():
        data = base64.b64decode(url.split(",")[1])
        heads.add((data[:33], Image.open(io.BytesIO(data)).mode, tuple(Image.open(io.BytesIO(data)).info)))
    assert len(heads) == 1
    assert {head[1:] for head in heads} == {("RGB", ())}


def test_the_same_samples_and_seed_give_the_same_bytes(tmp_path):
    names = [str(tables(tmp_path / name, 9, i)) for i, name in enumerate(NAMES[:2])]
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        study(names, tmp_path / out, pairs=5, seed=seed)
    a, b, c = ((tmp_path / out / "index.html").read_bytes() for out in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "key.json").read_bytes() == (tmp_path / "b" / "key.json").read_bytes()


def test_the_policy_names_the_only_program_and_allows_no_network(tmp_path):
    names = [str(texts(tmp_path / name, 4, i)) for i, name in enumerate(NAMES[:2])]
    html = study(names, tmp_path / "out", pairs=4).page.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src 'sha256-" in policy[1]
    assert "unsafe-inline'; script" in policy[1]  # of styles alone
    assert "http" not in policy[1]
    assert html.count("<script") == 2  # the data and the program: what a text says is no tag
    assert not re.search(r"""(?:src|href|url)[=(]["']?(?!["']?data:)""", html)


# -- who takes part ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_samples_of_a_published_model_and_real_ones(tmp_path, monkeypatch):
    """A model of digits is drawn from as `mozart sample` draws; and real digits of the test split."""
    from components.home import home
    from components.registry import Registry

    monkeypatch.setenv("MOZART_HOME", str(tmp_path / "home"))
    bundle = _bundle_of_digits(tmp_path)
    evaluation, provenance = (read_json(bundle / f"{name}.json") for name in ("evaluation", "provenance"))
    registry = Registry(home())
    version = registry.register(NAMES[0], bundle, evaluation, provenance, "run-1")
    registry.promote(version, None, "it is good")
    made = study([NAMES[0], "real"], tmp_path / "out", pairs=5, seed=3)
    assert made.names == [f"{NAMES[0]}:1", "real (digits)"]
    assert NAMES[0].encode() not in made.page.read_bytes()
    key = read_json(made.key)
    drawn = {one[f"{side}_sample"] for one in key["questions"].values() for side in ("left", "right")}
    assert {f"seed 3, sample {i}" for i in range(1, 6)} < drawn
    assert made.notes == []
    with pytest.raises(ConfigError, match=f"{NAMES[0]}:1 takes part twice"):
        study([NAMES[0], f"{NAMES[0]}@champion"], tmp_path / "twice")
    with pytest.raises(ConfigError, match=r"only what is of one kind .* holds images, .* holds text"):
        study([NAMES[0], str(texts(tmp_path / "words", 2, 0))], tmp_path / "mixed")


def _bundle_of_digits(folder: Path) -> Path:
    from keras_models import build
    from keras_models.saving import save
    from keras_models.spec import Spec

    bundle = folder / "home" / "bundles" / "unnamed"
    shutil.copytree(bundle_folder(), bundle)
    model = build("normal", Spec(kind="image", shape=(8, 8, 1), classes=tuple("0123456789")), seed=0)
    saved = folder / "saved"
    saved.mkdir()
    save(model, saved)
    for file in ("weights.safetensors", "model.json"):
        (bundle / file).write_bytes((saved / file).read_bytes())
    encoding = {
        "modality": "images",
        "binarise": "none",
        "size": [8, 8, 1],
        "classes": list("0123456789"),
    }
    write_json(bundle / "encoding.json", encoding)
    write_json(bundle / "evaluation.json", evaluation_of(bundle))
    return reseal(bundle)


def test_a_model_that_is_not_published(tmp_path):
    with pytest.raises(RegistryError, match="no model 'nobody'"):
        study(["nobody", "else"], tmp_path / "out")


def test_who_cannot_take_part(tmp_path):
    folder = str(pictures(tmp_path / "a", 2, 0))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="two models or more"):
        study([folder], tmp_path / "out")
    with pytest.raises(ConfigError, match="takes part twice"):
        study([folder, folder + "/"], tmp_path / "out")
    with pytest.raises(DataError, match="empty holds no samples"):
        study([folder, str(empty)], tmp_path / "out")
    with pytest.raises(ConfigError, match="none takes part"):
        study([folder, "real"], tmp_path / "out")
    with pytest.raises(ConfigError, match=r"a holds images, .*b holds music"):
        study([folder, str(tunes(tmp_path / "b", 2, 0))], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_samples_say_how_many_pairs_they_make(tmp_path):
    few, many = str(pictures(tmp_path / "few", 7, 0)), str(pictures(tmp_path / "many", 30, 1))
    (tmp_path / "few" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"few holds 7 samples, and 1 files cannot be read.*--pairs 7"):
        study([many, few], tmp_path / "out", pairs=20)
    made = study([many, few], tmp_path / "out", pairs=7)
    assert "broken.png" in made.notes[0]


def test_pictures_of_different_sizes_are_told(tmp_path):
    small, large = str(pictures(tmp_path / "a", 4, 0)), str(pictures(tmp_path / "b", 4, 1, side=16))
    made = study([small, large], tmp_path / "out", pairs=4)
    assert "8 x 8" in made.notes[0]
    assert "16 x 16" in made.notes[0]


def test_series_of_other_channels_are_no_pair(tmp_path):
    other = tmp_path / "b"
    other.mkdir()
    for i in range(4):
        (other / f"{i}.csv").write_text("load\n1\n2\n")
    with pytest.raises(ConfigError, match="the same channels"):
        study([str(tables(tmp_path / "a", 4, 0)), str(other)], tmp_path / "out", pairs=4)


# -- what is shown -------------------------------------------------------------------------------------


def test_music_is_in_seconds_and_no_longer_than_a_minute(tmp_path):
    file = next(tunes(tmp_path / "a", 1, 0).iterdir())
    (piece,) = read_samples("music", file)
    assert [note[0] for note in piece["notes"]] == pytest.approx([0.3 * i for i in range(8)])
    assert piece["seconds"] == pytest.approx(2.4)
    assert [note[4] for note in piece["notes"]] == [0] * 7 + [1]  # a drum; no voice tells who made it


def test_a_file_of_texts_apart_by_a_ruled_line_holds_several(tmp_path):
    from components.modalities.text import RULE

    file = tmp_path / "many.txt"
    file.write_text(RULE.join(["one", "two\nlines", ""]))
    assert read_samples("text", file) == ["one", "two\nlines"]


def test_a_table_as_mozart_writes_it_holds_several_series(tmp_path):
    file = tmp_path / "samples.csv"
    file.write_text("sample,step,load\n1,1,0.123456\n1,2,\n2,1,5\n2,2,6\n")
    assert read_samples("series", file) == [
        {"channels": ["load"], "values": [[0.1235, None]]},
        {"channels": ["load"], "values": [[5.0, 6.0]]},
    ]


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        ("images", "a.png", b"\x89PNG"),
        ("music", "a.mid", b"MThd"),
        ("text", "a.txt", b"\xff\xfe\x00"),
        ("series", "a.csv", b"load\nhigh\n"),
        ("series", "b.csv", b"load,heat\n1\n"),
        ("series", "c.csv", b""),
    ],
)
def test_a_file_that_cannot_be_read_is_a_reason(kind, name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError):
        read_samples(kind, tmp_path / name)


def test_a_large_picture_is_made_smaller(tmp_path):
    from PIL import Image

    Image.new("RGB", (2 * SHOWN_SIDE, 300)).save(tmp_path / "wide.png")
    (picture,) = read_samples("images", tmp_path / "wide.png")
    assert picture.shape == (150, SHOWN_SIDE, 3)


def test_samples_of_tagged_text_are_shown_as_words():
    encoding = {"modality": "text", "unit": "words", "vocabulary": ["?", "", "a", "tune"], "space": " "}
    samples = {"x": np.array([[2, 3, 3]]), "tags": np.zeros((1, 3), int), "length": np.array([2])}
    assert shown("text", samples, encoding) == ["a tune"]


# -- whole or not there --------------------------------------------------------------------------------


def test_what_is_there_is_not_overwritten(tmp_path):
    names = [str(pictures(tmp_path / name, 4, i)) for i, name in enumerate(NAMES[:2])]
    out = tmp_path / "out"
    out.mkdir()
    study(names, out, pairs=4)  # an empty folder is nobody's
    before = (out / "key.json").read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        study(names, out, pairs=4, seed=1)
    assert (out / "key.json").read_bytes() == before
    with pytest.raises(ConfigError, match="is there already"):
        study(names, out / "key.json", pairs=4)


def test_a_full_disk_leaves_nothing(tiny_disk, tmp_path):
    names = [str(pictures(tmp_path / name, 12, i, side=64)) for i, name in enumerate(NAMES[:2])]
    with pytest.raises(ResourceError, match="disk is full"):
        study(names, tiny_disk / "out", pairs=12)
    assert list(tiny_disk.iterdir()) == []
