"""A bundle is exactly what was written, or it is refused by the name of the file that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import MANIFEST, read_json, sha256_of
from components.bundle import (
    FILES,
    OPTIONAL,
    STATISTICS,
    check_bundle,
    load_bundle,
    reproduce_golden,
    write_bundle,
)
from components.errors import IntegrityError
from tests.components.publishing import (
    bundle_folder,
    copy_of_bundle,
    model_folder,
    other_bundle,
    reseal,
    said,
    start,
    workshop,
)

PRESENT = FILES - OPTIONAL | {STATISTICS}  # in the workshop's bundle


def test_two_writers_of_the_same_content_make_one_folder() -> None:
    first, second = (Path(made) for made in read_json(workshop() / "made.json"))
    assert first == second
    assert {entry.name for entry in first.iterdir()} == PRESENT
    assert first.name == sha256_of(first / MANIFEST)


def test_what_killed_writers_left_is_swept_when_it_is_old() -> None:
    left = {entry.name for entry in (workshop() / "bundles").glob(".*")}
    assert left == {".1.beef.tmp"}


def test_the_card_says_what_it_is_how_good_and_how_to_load_it() -> None:
    card = (bundle_folder() / "card.md").read_text("utf-8")
    for expected in (
        "# tiny",
        "Fisher 1922",
        "Source `digits`",
        "| `classifier_fid` | 4.5 (4.4 to 4.6) | 64 | 4.6 (4.5 to 4.7) | 64 | 20 (19.9 to 20.1) | 2.2 |",
        "interval by jackknife of 20 shards",
        "Verdict of the gates: good enough to publish.",
        "| `nats` | — | 64 | — | 64 | — | — |",
        'load("tiny@champion")',
        read_json(bundle_folder() / "golden.json")["sha256"],
    ):
        assert expected in card


def test_a_loaded_bundle_samples_as_the_model_did() -> None:
    from keras_models.saving import load

    ours = load(workshop() / "model").sample(5, seed=7)
    np.testing.assert_array_equal(load_bundle(bundle_folder()).sample(5, seed=7), ours)


def test_other_weights_draw_other_golden_samples(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"golden.json: seed 20 draws other samples .*same environment"):
        reproduce_golden(other_bundle(tmp_path, seed=5))


def test_a_new_process_refuses_a_damaged_bundle_by_the_file(tmp_path: Path) -> None:
    folder = copy_of_bundle(tmp_path)
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors is not the file"):
        reproduce_golden(folder)


@pytest.mark.parametrize("name", sorted(PRESENT))
def test_every_flipped_bit_truncation_and_absence_is_found(tmp_path: Path, name: str) -> None:
    folder = copy_of_bundle(tmp_path)
    file = folder / name
    content = file.read_bytes()
    generator = np.random.default_rng(0)
    damaged = [content[:cut] for cut in (0, len(content) // 2, len(content) - 1)] + [content + b" "]
    for place in generator.integers(len(content), size=25):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(generator.integers(8))
        damaged.append(bytes(flipped))
    for changed in damaged:
        file.write_bytes(changed)
        with pytest.raises(IntegrityError, match=rf"{name} is not the file"):
            check_bundle(folder)
    file.unlink()
    with pytest.raises(IntegrityError, match=f"{name} is missing"):
        check_bundle(folder)
    file.symlink_to(bundle_folder() / name)
    with pytest.raises(IntegrityError, match="holds a link"):
        check_bundle(folder)


@pytest.mark.parametrize("name", ["model.pkl", "lib.so", "layers.py", "weights.h5", ".hidden", "Model.json"])
def test_nothing_else_belongs_in_a_bundle_not_even_with_a_manifest(tmp_path: Path, name: str) -> None:
    folder = copy_of_bundle(tmp_path)
    (folder / name).write_bytes(b"x")
    with pytest.raises(IntegrityError, match=f"{name} does not belong"):
        check_bundle(folder)
    with pytest.raises(IntegrityError, match=f"{name} does not belong"):
        check_bundle(reseal(folder))


def test_a_folder_inside_is_refused(tmp_path: Path) -> None:
    folder = copy_of_bundle(tmp_path)
    (folder / "code").mkdir()
    with pytest.raises(IntegrityError, match="code does not belong"):
        check_bundle(folder)


def test_a_bundle_that_was_sealed_again_no_longer_has_its_name(tmp_path: Path) -> None:
    folder = copy_of_bundle(tmp_path)
    (folder / "card.md").write_text("better than it is")
    resealed = reseal(folder)
    check_bundle(resealed)
    with pytest.raises(IntegrityError, match=r"manifest.json is not the file"):
        check_bundle(resealed.rename(folder))


def test_a_bundle_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="missing: the bundle was moved or deleted"):
        load_bundle(tmp_path / "0")


def test_a_model_whose_tensors_are_not_its_own_makes_no_bundle(tmp_path: Path) -> None:
    from components.artifacts import seal

    model, other = model_folder(tmp_path / "a", 1), model_folder(tmp_path / "b", 2)
    shutil.copyfile(other / "weights.safetensors", model / "weights.safetensors")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors is not the file"):
        write_bundle(model, workshop() / "evaluation", tmp_path / "bundles", "tiny")
    seal(model, {"schema": 1, "step": "train"})  # its manifest now agrees, the tensors' digest does not
    with pytest.raises(IntegrityError, match="does not hold the tensors"):
        write_bundle(model, workshop() / "evaluation", tmp_path / "bundles", "tiny")
    assert not list((tmp_path / "bundles").iterdir())


def test_publishing_imports_neither_tensorflow_nor_mlflow() -> None:
    code = (
        "import sys, json, components.publish\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'apache_beam', 'sqlalchemy'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    assert said(start(code)) == []
