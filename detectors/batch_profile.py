"""A batch as a profile: counted in the cells of a baseline while it streams by, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.baseline import Baseline
from detectors.cells import some_names
from detectors.chunks import Advance, Chunk
from detectors.errors import DataError
from detectors.probe import look
from detectors.profile import FeatureProfile, Profile
from detectors.sample import MAX_ROWS, RowSampler
from detectors.source import stream

if TYPE_CHECKING:
    import pandas as pd

_WORKERS = min(4, os.cpu_count() or 1)


def profile_batch(
    baseline: Baseline,
    source: pd.DataFrame | Path | str,
    *,
    progress: Advance | None = None,
    sample: int = MAX_ROWS,
) -> Profile:
    """Summarize a batch in the cells of the baseline, in bounded memory.

    Args:
        progress: told how far the reading has come.
        sample: rows that are kept as they are, drawn at random, for the joint test and the champion.

    Raises:
        DataError: the source cannot be used, or ("columns") has none of the features.
    """
    features = baseline.features
    numeric, categorical = frozenset(baseline.numeric), frozenset(baseline.categorical)
    source_stream = stream(source, numeric, categorical, progress=progress)
    columns = source_stream.columns
    present = {name: part for name, part in features.items() if name in columns}
    missing = tuple(name for name in features if name not in columns)
    if not present:
        raise DataError(
            "columns",
            f"{source_stream.name} has none of the {len(features)} features ({some_names(list(features))}); "
            f"its columns are {some_names(columns)}: is it the right file, with a header?",
        )
    extra = tuple(c for c in columns if c not in features and c not in baseline.ignored)
    totals: dict[str, FeatureProfile] = {}
    parts: Iterable[FeatureProfile] = [part.empty() for part in present.values()]
    rows, sampler = 0, RowSampler(sample)
    with ThreadPoolExecutor(_WORKERS) as pool:
        for chunk in source_stream:
            rows += chunk.rows
            sampler.add(chunk.rows, chunk.numeric, chunk.categorical)
            # one chunk is counted while the next is parsed
            totals = dict(zip(present, parts, strict=True))
            parts = pool.map(_count, totals.values(), present.values(), repeat(chunk))
        totals = dict(zip(present, parts, strict=True))
    notes = list(source_stream.notes)
    if extra:
        many = len(extra) > 1
        notes.append(
            f"{len(extra)} column{'s' * many} that the baseline does not know {'were' if many else 'was'} ignored: "
            f"{some_names(extra)}"
        )
    strange = [name for name, part in totals.items() if part.invalid]
    return Profile(
        rows,
        totals,
        columns,
        missing,
        extra,
        tuple(notes),
        tuple(source_stream.errors),
        sampler.sample(),
        look(source, features, missing, extra, strange, [c for c in baseline.clocks if c in columns]),
    )


def _count(total: FeatureProfile, cells: FeatureProfile, chunk: Chunk) -> FeatureProfile:
    values = chunk.numeric[cells.name] if cells.kind == "numeric" else chunk.categorical[cells.name]
    return total.merge(cells.summarize(values, chunk.invalid.get(cells.name, 0)))
