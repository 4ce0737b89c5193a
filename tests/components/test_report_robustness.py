"""The report of a run that stopped, lacks parts or has hostile names: nothing breaks, runs or is fetched."""

from __future__ import annotations

import copy
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.artifacts import write_json
from components.errors import ResourceError
from components.report import write_report
from tests.components.reported_run import (
    HOSTILE,
    MEASURED,
    MISSING,
    Tags,
    change,
    page_of,
    whole_run,
    words_of,
)

ANOMALIES = [
    {"severity": "error", "rule": "empty-split", "message": "too few records"},
    {"severity": "warning", "rule": "rejected", "message": "a stray file"},
]


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Path]:
    return whole_run(tmp_path)


def test_nothing_comes_from_outside_and_nothing_runs(tmp_path, run):
    page = page_of(tmp_path, run)
    assert "default-src 'none'" in page
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", page)
    assert sources
    for first, second in sources:
        assert (first or second).startswith(("data:", "#")), first or second
    assert "@import" not in page


def test_hostile_names_stay_text(tmp_path, run):
    (run["model"] / "history.csv").write_text('epoch,"<script>x"\n1,2.5\n')
    measured = copy.deepcopy(MEASURED)
    measured["floors"][HOSTILE] = measured["floors"].pop("normal (covariance full)")
    measured["verdict"]["reasons"].append(f"failed: {HOSTILE}")
    write_json(run["evaluation"] / "evaluation.json", measured)
    page = page_of(tmp_path, run, failure=HOSTILE, recipe={"name": HOSTILE})
    tags = Tags(page)
    assert "script" not in tags.seen
    assert sum(HOSTILE in text for text in tags.texts) >= 4  # failure, recipe, floor, reason
    assert "<script" not in page
    assert html.escape(HOSTILE[:13]) in page  # the class, in the chart, cut to fit


@pytest.mark.parametrize(("gone", "said"), MISSING.items())
def test_each_section_can_be_missing(tmp_path, run, gone, said):
    del run[gone]
    assert said in words_of(page_of(tmp_path, run))


def test_stopped_before_anything_was_written(tmp_path):
    words = words_of(page_of(tmp_path, {}, failure="the disk is full", recipe={"model": {"family": "vae"}}))
    assert "tiny stopped VAE" in words
    assert "The disk is full" in words
    for said in ("Nothing was measured", "Nothing was trained", "not validated", "They were not summarised"):
        assert said in words, said
    assert "family: vae" in words


def test_badge_of_every_end(tmp_path, run):
    change(run["release"], "release.json", champion=False)
    assert "version 8, not promoted" in words_of(page_of(tmp_path, run))
    del run["release"]
    assert "tiny stopped" in words_of(page_of(tmp_path, run, failure="the registry is gone"))
    change(run["evaluation"], "evaluation.json", verdict={"blessed": False, "reasons": ["failed: no."]})
    assert "tiny refused" in words_of(page_of(tmp_path, run, failure="gate 2 refused the model"))
    del run["evaluation"], run["model"]
    change(run["validation"], "report.json", verdict="fail", anomalies=ANOMALIES)
    words = words_of(page_of(tmp_path, run, failure="gate 1 refused the data"))
    assert "tiny data refused" in words
    assert "✗ too few records ! a stray file" in words


def test_what_was_not_measured_is_a_dash(tmp_path, run):
    measured = copy.deepcopy(MEASURED)
    measured["test"]["classifier_fid"]["value"] = None
    measured["champion"] |= {"comparable": False, "why_not": "another size", "test": {}}
    measured |= {"reference": {"validation": {}, "test": {}}, "features": None}
    write_json(run["evaluation"] / "evaluation.json", measured)
    words = words_of(page_of(tmp_path, run))
    assert "classifier_fid, test split — validation split 4.125" in words
    assert "real against real — none for this metric" in words
    assert "champion — version 7, not comparable" in words
    assert not re.search(r"\b(nan|None|inf)\b", words)


def test_page_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").mkdir()
    with pytest.raises(ResourceError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "run" / "report.html", name="tiny")
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_tensorflow_stays_out(tmp_path, run):
    told = {key: str(folder) for key, folder in run.items()}
    code = (
        "import json, sys; from pathlib import Path; from components.report import write_report\n"
        f"folders = {{key: Path(value) for key, value in json.loads({json.dumps(told)!r}).items()}}\n"
        f"write_report(Path({str(tmp_path / 'r.html')!r}), name='tiny', **folders)\n"
        "print(sorted({'tensorflow', 'apache_beam', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
