"""Beam, as Mozart uses it: the runner is pinned, the pipeline is the portable subset, options are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.dataflow import join, run
from components.errors import ConfigError
from components.runners import options
from components.settings import BeamSettings


def test_the_runner_is_pinned() -> None:
    made = options(BeamSettings()).get_all_options()
    assert made["runner"] == "FnApiRunner"
    assert made["direct_running_mode"] == "in_memory"
    assert options(BeamSettings(workers=2)).get_all_options()["runner"] == "FnApiRunner"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--direct_running_mode=multi_threading", "silently loses records"),
        ("--direct_num_worker=2", "Beam has no option '--direct_num_worker'"),
        ("--direct_running_m=multi_processing", "Beam has no option '--direct_running_m'"),
        ("2", "Beam has no option '2'"),
        ("--direct_num_workers=two", "invalid int value: 'two'"),
        ("--direct_running_mode=fast", "invalid choice: 'fast'"),
    ],
)
def test_options_that_beam_would_drop_or_die_of_are_refused(option: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"data.beam.options: .*{sentence}"):
        options(BeamSettings(options=(option,)))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"options": ("--runner=NoRunner",)}, "the runner is named in data.beam.runner"),
        ({"runner": "portable"}, "portable needs --job_endpoint="),
        ({"runner": "flink"}, "flink needs Beam's job server for Flink, a jar from Maven Central"),
        ({"runner": "spark"}, "spark needs --spark_job_server_jar="),
        ({"runner": "dataflow", "options": ("--project=p",)}, "dataflow needs --region="),
        (
            {"runner": "dask", "options": ("--dask_client_address=inproc://1",)},
            "a Dask cluster inside of one process silently mixes records",
        ),
        ({"runner": "dask", "options": ("--dask_adress=tcp://x",)}, "Beam has no option '--dask_adress'"),
    ],
)
def test_an_engine_that_cannot_run_is_told_before_anything_starts(
    settings: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOZART_FLINK_JOB_SERVER_JAR", raising=False)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        options(BeamSettings(**settings))


def test_the_pipeline_is_the_portable_subset(tmp_path: Path) -> None:
    """Dask and others drop what `finish_bundle` emits, mix tagged outputs, run only the last leaf and
    write nothing in Beam's sinks: so there is one chain, of one main output each, with our own writes."""
    import apache_beam as beam
    from apache_beam.pipeline import PipelineVisitor

    pipeline = beam.Pipeline(options=options(BeamSettings()))
    join(pipeline, [["a"]], _pairs, [_length], tmp_path / "results.json")
    consumed, produced, problems = set(), set(), []

    class Walk(PipelineVisitor):
        def visit_transform(self, node: Any) -> None:
            transform = node.transform
            if isinstance(transform, beam.io.Read | beam.io.Write):
                problems.append(f"Beam's own source or sink: {node.full_label}")
            if set(node.outputs) - {None, "None"}:
                problems.append(f"tagged outputs: {node.full_label}")
            do = getattr(transform, "fn", None)
            if "finish_bundle" in vars(type(do)):
                problems.append(f"finish_bundle: {node.full_label}")
            consumed.update(node.inputs, (side.pvalue for side in node.side_inputs))
            produced.update(node.outputs.values())

    pipeline.visit(Walk())
    assert problems == []
    leaves = {leaf for leaf in produced - consumed if leaf is not None}
    assert [leaf.producer.full_label.split("/")[0] for leaf in leaves] == ["Keep"]


def test_no_results_are_an_empty_list(tmp_path: Path) -> None:
    assert run([], _pairs, [_length], tmp_path) == []
    assert sorted(run([["a"], ["b", "a"]], _pairs, [_length], tmp_path)) == [("a", 2), ("b", 1)]
    assert list(tmp_path.iterdir()) == []


def _pairs(chunk: list[str]) -> Iterator[tuple[str, int]]:
    for key in chunk:
        yield key, 1


def _length(key: str, values: list[int]) -> Iterator[tuple[str, int]]:
    yield key, len(values)
