"""The newest span by itself: in a window of seven a day that drifted is a seventh, and hardly shows."""

from __future__ import annotations

from pathlib import Path

from components.accumulators import merged
from components.ingest import shards_of
from components.modalities import Summary, modality_of
from components.settings import DataSettings
from components.spans import has_spans, sources


def newest_span(records: Path, data: DataSettings) -> tuple[str, Summary] | None:
    """The newest span of the window and a summary of its training records; None where it is the whole window,
    where none of its records is in the training split, or without spans."""
    if not has_spans(data):
        return None
    names = [span for span, _ in sources(data)]
    if len(names) < 2:
        return None
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    module = modality_of(data.source)
    count, found = 0, []
    for shard in shards_of(records, "train"):
        table = pq.read_table(shard)
        mine = table.filter(pc.starts_with(table.column("key"), f"{names[-1]}/"))
        count += mine.num_rows
        if mine.num_rows:
            found.append(module.summarise(mine))
    return (names[-1], Summary(count, merged(found))) if found else None
