"""A batch as a profile: counted in the cells of a baseline while it streams by, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detectors.baseline import Baseline
from detectors.cells import some_names
from detectors.chunks import Advance, Chunk, in_order, judge_malformed
from detectors.errors import DataError
from detectors.location import Location, location
from detectors.parts import Engine, Part, check_columns, here, is_folder, parts_of
from detectors.probe import look
from detectors.profile import FeatureProfile, Profile
from detectors.sample import MAX_ROWS, RowSampler
from detectors.significance import preload
from detectors.source import stream
from detectors.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

_CELLS = 5_000_000  # of the sample, which is held in memory
_LEAST_SAMPLE = 1_000
_TOGETHER = 1 << 20  # cells that are counted at once


def profile_batch(
    baseline: Baseline,
    source: pd.DataFrame | Location | str,
    *,
    progress: Advance | None = None,
    sample: int | None = None,
    engine: Engine = here,
) -> Profile:
    """Summarize a batch in the cells of the baseline, in bounded memory; a folder is the merge of its parts.

    Args:
        progress: told how far the reading has come.
        sample: rows that are kept as they are, drawn at random, for the joint test and the champion: 10,000 where
            not given, and fewer of more than 500 features.
        engine: where the parts of a folder are summarized; a single file is read here. The result is the same.

    Raises:
        DataError: the source cannot be used, or ("columns") has none of the features.
    """
    preload()  # what judges the profile
    folder = location(source) if isinstance(source, (str, Path)) else None
    if folder is None or not is_folder(folder):
        return profile_part(baseline, source, progress=progress, sample=sample)
    parts = parts_of(folder)
    needed = replace(baseline, table=None, record=None)  # what counting needs may have to travel
    return _merged(folder, parts, engine(_part_or_none, (needed, sample), parts, progress), sample)


def _part_or_none(shared: tuple[Baseline, int | None], part: Part, advance: Advance | None) -> Profile | None:
    """One part's profile; None where it has no rows, as some parts that Spark writes."""
    baseline, sample = shared
    try:
        return profile_part(baseline, part.path, progress=advance, sample=sample, part=part.index)
    except DataError as error:
        if error.kind == "no_rows":
            return None
        raise


def _merged(
    folder: Path, parts: Sequence[Part], profiles: Iterable[Profile | None], sample: int | None
) -> Profile:
    """The profile of the whole, merged in the order of the parts: sums of floats depend on it."""
    whole, first, empty = None, parts[0], 0
    for part, profile in zip(parts, profiles, strict=True):
        if profile is None:
            empty += 1
        elif whole is None:
            whole, first = profile, part
        else:
            check_columns(profile.columns, whole.columns, part.path, first.path)
            whole = whole.merge(profile, _drawn(sample, len(whole.features)))
    if whole is None:
        raise DataError("no_rows", f"none of the {len(parts)} parts of {folder} has rows: nothing to measure")
    if whole.malformed:
        said = judge_malformed(folder, whole.malformed, whole.rows, len(whole.columns))
        whole = replace(whole, errors=(*whole.errors, said))
    if not empty:
        return whole
    return replace(whole, notes=(*whole.notes, f"{empty} of {len(parts)} parts have no rows"))


def _drawn(sample: int | None, features: int) -> int:
    """Rows that are kept as they are: fewer of a wide table, unless their number was given."""
    return min(MAX_ROWS, max(_LEAST_SAMPLE, _CELLS // features)) if sample is None else sample


def profile_part(
    baseline: Baseline,
    source: pd.DataFrame | Location | str,
    *,
    progress: Advance | None = None,
    sample: int | None = None,
    part: int | None = None,
) -> Profile:
    """`profile_batch` of one file or frame; the number of a part decides which of its rows are drawn."""
    features = baseline.features
    numeric, categorical = frozenset(baseline.numeric), frozenset(baseline.categorical)
    source_stream = stream(source, numeric, categorical, progress=progress)
    source_stream.part = part is not None
    columns = source_stream.columns
    present = {name: feature for name, feature in features.items() if name in columns}
    missing = tuple(name for name in features if name not in columns)
    if not present:
        raise DataError(
            "columns",
            f"{source_stream.name} has none of the {len(features)} features ({some_names(list(features))}); "
            f"its columns are {some_names(columns)}: is it the right file, with a header?",
        )
    extra = tuple(c for c in columns if c not in features and c not in baseline.ignored)
    sampler = RowSampler(_drawn(sample, len(present)), part or 0)
    counted = _count(source_stream, list(present.values()), sampler)
    totals = {name: counted[name] for name in present}
    notes = list(source_stream.notes)
    if extra:
        many = len(extra) > 1
        notes.append(
            f"{len(extra)} column{'s' * many} that the baseline does not know {'were' if many else 'was'} ignored: "
            f"{some_names(extra)}"
        )
    strange = [name for name, total in totals.items() if total.invalid]
    return Profile(
        source_stream.rows,
        totals,
        columns,
        missing,
        extra,
        tuple(notes),
        tuple(source_stream.errors),
        sampler.sample(),
        look(source, features, missing, extra, strange, [c for c in baseline.clocks if c in columns]),
        source_stream.malformed_rows,
    )


def _count(
    chunks: Iterable[Chunk], parts: Sequence[FeatureProfile], sampler: RowSampler
) -> dict[str, FeatureProfile]:
    """All rows counted in the cells of the parts; while some chunks are counted the next are read."""
    numbers = [part for part in parts if part.kind == "numeric"]
    words = [part for part in parts if part.kind == "categorical"]
    grids = [part.grid for part in numbers]
    tally, invalid, seen = Tally.empty(grids), Counter[str](), [part.empty() for part in words]

    def count(group: list[Chunk]) -> tuple[Tally, list[FeatureProfile]]:
        return (
            Tally.of(grids, [_joined([chunk.numeric[part.name] for chunk in group]) for part in numbers]),
            [part.summarize(_joined([chunk.categorical[part.name] for chunk in group])) for part in words],
        )

    def sampled() -> Iterator[Callable[[], tuple[Tally, list[FeatureProfile]]]]:
        for group in _groups(chunks, max(1, _TOGETHER // len(parts))):
            for chunk in group:
                sampler.add(chunk.rows, chunk.numeric, chunk.categorical)
                invalid.update(chunk.invalid)
            yield partial(count, group)

    for more, words_of in in_order(sampled()):
        tally.add(more)
        seen = [one.merge(other) for one, other in zip(seen, words_of, strict=True)]
    found = {part.name: part for part in seen}
    for part, fields in zip(numbers, tally.fields(), strict=True):
        found[part.name] = replace(part, invalid=invalid[part.name], **fields)
    return found


def _groups(chunks: Iterable[Chunk], rows: int) -> Iterator[list[Chunk]]:
    """Chunks that have so many rows together: to look up a feature's grid costs the same for few as for many."""
    group: list[Chunk] = []
    for chunk in chunks:
        group.append(chunk)
        if sum(one.rows for one in group) >= rows:
            yield group
            group = []
    if group:
        yield group


def _joined(columns: list[np.ndarray]) -> np.ndarray:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)
