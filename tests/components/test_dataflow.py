"""Beam, as Mozart uses it: the runner is pinned, the pipeline is the portable subset, options are checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.dataflow import join, options, run
from components.errors import ConfigError
from components.ingest import ingest
from components.settings import BeamSettings, DataSettings


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


def test_an_unknown_runner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.beam: .*NoRunner"):
        ingest(
            DataSettings(source="digits", beam=BeamSettings(options=("--runner=NoRunner",))),
            tmp_path / "records",
        )


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
