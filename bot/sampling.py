"""Rows of a batch for people to label: drawn with known chances, kept, and written as a CSV with an empty label."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot.config import ModelSection
from bot.monitoring import NotTrained, load_baseline
from bot.times import utc_now
from detectors.baseline import Baseline
from detectors.cells import category, number, some_names
from detectors.chunks import Advance
from detectors.codes import coded
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location
from detectors.sample import RowSample
from detectors.source import header_of
from detectors.track_record import batch_frame
from state.records import Sample, Trained
from state.store import Store
from trainers.base import ROW_ID, SAMPLE_ID, WEIGHT, WHY, Schema, TrainingError
from trainers.sampling import (
    MIXES,
    Arm,
    Drawn,
    Pool,
    Strategy,
    draw,
    explained,
    groups,
    rare,
    read_pool,
    strange,
    strangeness,
    unsure,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT: Strategy = "hybrid"
ROWS = 500
_DIGEST = 12  # letters of the batch's digest in a row's id


@dataclass(frozen=True, slots=True)
class Drawing:
    """A sample that was given out: the record, the bytes of its file, and what to look out for."""

    sample: Sample
    file: bytes
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Looks:
    """What the arms know of each row of the pool; None where an arm is not wanted or cannot be had."""

    chance: np.ndarray | None = None
    strangeness: np.ndarray | None = None
    group: np.ndarray | None = None
    several: bool = False  # `chance` is of the class that the model says, not of class 1

    def arms(self) -> dict[Arm, np.ndarray]:
        found: dict[Arm, np.ndarray] = {}
        if self.chance is not None:
            found["uncertain"] = unsure(self.chance, several=self.several)
        if self.strangeness is not None:
            found["drift"] = strange(self.strangeness)
        if self.group is not None:
            found["diverse"] = rare(self.group)
        return found


@dataclass(frozen=True, slots=True)
class Sampling:
    """Draws rows to label. The same batch, version, strategy, number and seed give the same file again."""

    store: Store
    now: Callable[[], datetime] = utc_now

    def draw(
        self,
        model: ModelSection,
        path: Location,
        *,
        rows: int = ROWS,
        strategy: Strategy = DEFAULT,
        seed: int = 0,
        by: str = "",
        of: str | None = None,
        progress: Advance | None = None,
    ) -> Drawing:
        """Draw rows of a batch, whether or not it was checked, and keep what was drawn.

        Args:
            rows / strategy / seed: see `trainers.sampling`.
            by: who asks for it.
            of: SHA-256 that the file must have, where one that was checked is meant.

        Raises:
            NotTrained: there is no model yet whose features could be asked for.
            DataError: the batch cannot be used, or the strategy cannot be followed.
        """
        champion = self.store.champion(model.name)
        if champion is None:
            raise NotTrained(
                f'"{model.name}" has no trained version yet: label rows as you like and train it'
            )
        digest = sha256_file(path)
        if of is not None and digest != of:
            raise DataError("changed", f"{path.name} is no longer the file that was checked")
        warnings = self._warnings(model, digest, path)
        name = _name(model, digest, champion, strategy, rows, seed)
        if (kept := self._kept(name)) is not None:
            return replace(kept, warnings=(*warnings, *_formulas(kept.file)))
        baseline = load_baseline(champion)
        pool, columns = _pool(model, baseline, path, seed, progress)
        if sha256_file(path) != digest:
            raise DataError("changed", f"{path} was written to while it was read: try again")
        looks, notes = _look(champion, baseline, pool, strategy, rows, seed)
        spread = strategy in ("time", "hybrid")
        drawn = draw(
            looks.arms(),
            MIXES[strategy],
            rows,
            np.random.default_rng([seed, 1]),
            spread=spread,
            rows=len(pool.rows),
        )
        why = explained(
            drawn,
            chance=looks.chance,
            strangeness=looks.strangeness,
            group=looks.group,
            spread=spread,
        )
        if len(drawn.at) == pool.total:
            notes.append(f"the batch has only {pool.total:,} rows: all of them are in the file")
        sample = Sample(
            name=name,
            model=model.name,
            batch_path=str(path),
            batch_sha256=digest,
            batch_rows=pool.total,
            rows=len(drawn.at),
            asked=rows,
            pool=len(pool.rows),
            strategy=strategy,
            seed=seed,
            arms=dict(Counter(drawn.arm)),
            version=champion.record.version,
            label=model.label.column,
            by=by,
            at=self.now(),
            notes=tuple(notes),
        )
        file = _csv(sample, pool, drawn, why, columns)
        sample = self.store.keep_sample(sample, file)
        file = self.store.sample_file(name) or file
        return Drawing(sample, file, (*warnings, *_formulas(file)))

    def _kept(self, name: str) -> Drawing | None:
        sample, file = self.store.sample(name), self.store.sample_file(name)
        return None if sample is None or file is None else Drawing(sample, file)

    def _warnings(self, model: ModelSection, digest: str, path: Location) -> tuple[str, ...]:
        batch = self.store.seen(model.name, digest)
        if batch is None or batch.verdict != "broken_feed":
            return ()
        return (
            f"{path.name} is a broken feed: labels of its rows would teach the model the fault; mend the feed first",
        )


def _name(
    model: ModelSection, digest: str, champion: Trained, strategy: Strategy, rows: int, seed: int
) -> str:
    """Of a draw: the same for the same draw."""
    mix = ",".join(f"{arm} {share}" for arm, share in MIXES[strategy].items())
    said = f"{model.name}\n{digest}\n{champion.record.version}\n{strategy}: {mix}\n{rows}\n{seed}\n{model.label.column}"
    return sha256(said.encode()).hexdigest()[:10]


def _pool(
    model: ModelSection, baseline: Baseline, path: Location, seed: int, progress: Advance | None
) -> tuple[Pool, list[str]]:
    """The rows that are considered, and the columns that go into the file, in the order of the batch."""
    header = header_of(path)
    if lacking := [name for name in baseline.features if name not in header]:
        raise DataError(
            "columns",
            f"{path} lacks {some_names(lacking)}, which the model needs: labels for its rows could not be learned from",
        )
    outside = [
        name
        for name in model.label_spec().outside
        if name in header and name not in baseline.features and name != model.label.column
    ]
    numeric, words = frozenset(baseline.numeric), frozenset((*baseline.categorical, *outside))
    pool = read_pool(path, numeric, words, seed=seed, progress=progress)
    return pool, [name for name in header if name in numeric or name in words]


def _look(
    champion: Trained, baseline: Baseline, pool: Pool, strategy: Strategy, rows: int, seed: int
) -> tuple[_Looks, list[str]]:
    """What the arms of the strategy need; in a mix an arm that cannot be had is left out, with a note."""
    wanted, notes = MIXES[strategy], list[str]()
    chance = strange_by = group = None
    if "uncertain" in wanted:
        chance, trouble = _chance(champion, pool.sample)
        notes += [f"no row was drawn for being uncertain: {trouble}"] * bool(trouble)
    if {"drift", "diverse"} & wanted.keys():
        codes = coded(list(baseline.features.values()), pool.sample.column, len(pool.rows))
        if "drift" in wanted and (strange_by := strangeness(baseline.table, codes, seed)) is None:
            notes.append("no row was drawn for being unlike the training data: there are too few rows")
        if "diverse" in wanted:
            group = groups(codes, rows, seed)
    if strategy != "hybrid" and notes:
        raise DataError("strategy", f"the strategy {strategy} cannot be followed: {notes[0]}")
    return _Looks(chance, strange_by, group, bool(champion.record.classes)), notes


def _chance(champion: Trained, sample: RowSample) -> tuple[np.ndarray | None, str]:
    """The model's probability of class 1 (of several: of the one it says) for each row, or why there is none."""
    from trainers.scoring import champion as scorer

    record = champion.record
    schema: Schema = record.schema
    kinds = dict.fromkeys(schema.numeric + schema.coded, "float64") | dict.fromkeys(schema.text, "str")
    try:
        scoring = scorer(record)
        if scoring is None:
            return None, f"version {record.version} has no model file"
        return np.asarray(scoring(batch_frame(sample, kinds))[1], np.float64), ""
    except TrainingError as error:
        return None, str(error)


def _csv(sample: Sample, pool: Pool, drawn: Drawn, why: list[str], columns: list[str]) -> bytes:
    """Id and empty label first, then the batch's own columns, then how the row came to be here."""
    import pandas as pd

    rows, weight = pool.rows[drawn.at], 1 / (drawn.chance * pool.chance)
    table: dict[str, list[str]] = {
        ROW_ID: [row_id(sample.batch_sha256, row) for row in rows.tolist()],
        sample.label: [""] * len(rows),
    }
    for name in columns:
        table[name] = [category(value) or "" for value in pool.sample.column(name)[drawn.at].tolist()]
    table |= {WHY: why, WEIGHT: [f"{w:.10g}" for w in weight.tolist()], SAMPLE_ID: [sample.name] * len(rows)}
    text = StringIO()
    frame: pd.DataFrame = pd.DataFrame(table, dtype="str")
    frame.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _formulas(file: bytes) -> tuple[str, ...]:
    """A warning where a spreadsheet would run a cell; escaping it would make the row another one."""
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(BytesIO(file), dtype="str", keep_default_na=False)
    found = {name: sum(map(_is_formula, [name, *frame[name]])) for name in frame}
    count = sum(found.values())
    if not count:
        return ()
    columns = some_names([str(name) for name, cells in found.items() if cells], 3)
    what = "1 cell begins" if count == 1 else f"{count:,} cells begin"
    return (
        f"{what} like a formula (with =, +, - or @), in {columns}: a spreadsheet may run what stands there. Load the "
        "columns as text, and leave those cells as they are",
    )


def _is_formula(cell: str) -> bool:
    """Text that a spreadsheet may take for a formula; a number is none, nor is a lone sign for "nothing"."""
    return len(cell.strip()) > 1 and cell.lstrip()[0] in "=+-@" and number(cell) is None


def row_id(digest: str, row: int) -> str:
    """Of a row: the beginning of its batch's SHA-256, and its number there, from 1 after the header."""
    return f"{digest[:_DIGEST]}-{row}"


def write_sample(drawing: Drawing, out: Path, *, force: bool = False) -> None:
    """Write the file whole; FileExistsError where there is another one already."""
    if out.exists() and not force and out.read_bytes() != drawing.file:
        raise FileExistsError(f"{out} is there already, perhaps with labels: name another file, or --force")
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        part.write_bytes(drawing.file)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def file_name(sample: Sample) -> str:
    """What the file is called where nobody has named it."""
    return f"label_{Path(sample.batch_path).name.split('.')[0]}_{sample.name}.csv"


def sample_lines(drawing: Drawing) -> list[str]:
    """What was drawn, one sentence a line."""
    s = drawing.sample
    words: Mapping[str, str] = {
        "random": "at random", "uncertain": "where the model is unsure",
        "drift": "unlike the training data", "diverse": "of every kind",
    }  # fmt: skip
    parts = ", ".join(f"{s.arms[arm]:,} {said}" for arm, said in words.items() if s.arms.get(arm))
    considered = "" if s.pool == s.batch_rows else f", of which {s.pool:,} drawn at random were considered"
    return [
        f"{s.rows:,} of {s.batch_rows:,} rows of {Path(s.batch_path).name}{considered}: {parts}",
        f"strategy {s.strategy}, seed {s.seed}, version {s.version}, sample {s.name}",
        *(f"note: {note}" for note in s.notes),
        *(f"warning: {warning}" for warning in drawing.warnings),
    ]
