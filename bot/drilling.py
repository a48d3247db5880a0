"""`driftcatcher drill`: known drifts in one's own data, judged as batches are: what would have been noticed?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bot.backtest import Remembering, Scores, alerts
from bot.config import ModelSection
from bot.monitoring import NotTrained, load_baseline
from detectors.base import AnyDetector, Detector
from detectors.baseline import Baseline
from detectors.cells import some_names
from detectors.columns import series_categories, series_numbers
from detectors.drill import DRIFTS, NONE, Drift, Range, Rows, profiled, verdict_on
from detectors.errors import DataError
from detectors.findings import TOGETHER, detector_name
from detectors.location import Location
from detectors.policy import Policy
from detectors.report import DriftReport
from detectors.source import read_frame
from state.records import Trained
from state.store import Store
from trainers.base import LabelSpec, TrainingError, quiet

if TYPE_CHECKING:
    import pandas as pd

VERDICT = "verdict"
CONFIDENCE = 0.95  # of the upper bound of a false-alarm rate
CALM = 100  # batches without drift, at least: the fewer, the less the bound says
_FEW = 200  # hold-out rows below which batches are hardly different from each other
_SEED = 20_261

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one drift was noticed: `hits` of `tries` batches of `rows` rows, by `by` (a detector, or verdict).

    `applies` is false for a detector that does not measure what drifted, such as KS on categories.
    """

    drift: Drift
    rows: int
    by: str
    hits: int
    tries: int
    applies: bool = True

    @property
    def rate(self) -> float:
        return self.hits / self.tries

    @property
    def upper(self) -> float:
        """One-sided 95 % upper bound of the rate (Clopper and Pearson, Biometrika 26, 1934)."""
        from scipy.stats import beta

        if self.hits == self.tries:
            return 1.0
        return float(beta.ppf(CONFIDENCE, self.hits + 1, self.tries - self.hits))


@dataclass(frozen=True, slots=True)
class Drill:
    """The result.

    Attributes:
        model / version: whose baseline was compared with; features: how many it has.
        source: where the rows come from, in words; pool: how many there are.
        sizes: rows of the batches; judges: the detectors' names, then "verdict".
        cells: one for each drift, number of rows and judge; drifts that do not apply have none.
        notes: what limits the answer, one sentence each.
    """

    model: str
    version: int
    features: int
    source: str
    pool: int
    sizes: tuple[int, ...]
    judges: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]

    def cell(self, drift: Drift, rows: int, by: str) -> Cell | None:
        """One cell, None where the drift does not apply."""
        return next((c for c in self.cells if (c.drift, c.rows, c.by) == (drift, rows, by)), None)

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """The drifts that were tried, in order; the first is none."""
        return tuple(dict.fromkeys(cell.drift for cell in self.cells))


@dataclass(frozen=True, slots=True)
class _Pool:
    rows: Rows
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judging:
    """What all batches of a drill are judged by."""

    model: ModelSection
    baseline: Baseline
    detectors: tuple[AnyDetector, ...]
    policy: Policy

    def noticed(self, report: DriftReport) -> set[str]:
        """Who noticed something. A feed that is called broken is noticed too."""
        seen = {finding.detector for finding in report.features if finding.drifted}
        if alerts(self.model, report) or report.verdict == "broken_feed":
            seen.add(VERDICT)
        return seen


def drill(
    store: Store,
    model: ModelSection,
    sizes: Sequence[int] = (200, 1000),
    repeats: int = 20,
    data: Location | None = None,
    progress: Progress = quiet,
) -> Drill:
    """Inject known drifts into batches drawn from the champion's hold-out rows and judge each.

    Args:
        sizes: rows of a batch.
        repeats: batches for each drift and size; each has the drift in a feature drawn anew.
        data: a labelled or unlabelled file to draw from instead of the champion's own files.
        progress: told what is under way.

    Raises:
        NotTrained, DataError, TrainingError: nothing can be drawn; the message says what to do.
    """
    champion = store.champion(model.name)
    if champion is None:
        raise NotTrained(f'"{model.name}" has no trained version yet: there is nothing to compare with')
    baseline = load_baseline(champion)
    pool = (
        _from_file(model, champion, baseline, data)
        if data
        else _held_out(model, champion, baseline, progress)
    )
    judging = _Judging(model, baseline, tuple(model.load_detectors()), model.judging())
    scope = Range.of(pool.rows)
    tried = [drift for drift in DRIFTS if scope.applies(drift)]
    cells: list[Cell] = []
    notes = [
        *pool.notes,
        *_not_tried(scope, several=bool(champion.record.classes)),
        *_limits(pool.rows.rows, sizes),
    ]
    for number, rows in enumerate(sizes):
        progress(f"batches of {rows:,} rows, {number + 1} of {len(sizes)} sizes")
        found, small = _of_size(judging, scope, tried, rows, repeats, progress)
        cells += found
        if small:
            notes.append(
                f"Batches of {rows:,} rows are small here: without drift the verdict was insufficient_data in "
                f"{100 * small:.0f} % of them."
            )
    names = tuple(dict.fromkeys(detector_name(d) for d in judging.detectors))
    notes.append("The model's score is no part of the drill: drift of predictions may be noticed besides.")
    return Drill(
        model.name, champion.record.version, len(baseline.features), pool.source, pool.rows.rows,
        tuple(sizes), (*names, VERDICT), tuple(cells), tuple(notes),
    )  # fmt: skip


def _of_size(
    judging: _Judging, scope: Range, tried: Sequence[Drift], rows: int, repeats: int, progress: Progress
) -> tuple[list[Cell], float]:
    """All cells of one batch size, and the share of the batches without drift that had too few rows to judge."""
    judges = [*dict.fromkeys(detector_name(d) for d in judging.detectors), VERDICT]
    hits = {drift: dict.fromkeys(judges, 0) for drift in (NONE, *tried)}
    measured: dict[Drift, set[str]] = {drift: {VERDICT} for drift in hits}
    small = 0
    calm = max(CALM, repeats)
    for number in range(calm):
        random = np.random.default_rng([_SEED, rows, number])
        known: Scores = {}
        detectors = [Remembering(d, known) if isinstance(d, Detector) else d for d in judging.detectors]
        batch = scope.batch(rows, random)
        plain = profiled(judging.baseline, batch)
        report = verdict_on(judging.baseline, plain, detectors, judging.policy)
        small += report.verdict == "insufficient_data"
        _count(hits[NONE], judging.noticed(report))
        measured[NONE] |= _measured(report, "")
        for drift in tried if number < repeats else ():
            # the same feature for every size of a drift and of a batch: so their rates can be compared
            name = scope.pick(drift, np.random.default_rng([_SEED, number, *drift.kind.encode()]))
            drifted = scope.drifted(batch, drift, name, random)
            profile = profiled(judging.baseline, drifted, plain, name)
            report = verdict_on(judging.baseline, profile, detectors, judging.policy)
            _count(hits[drift], judging.noticed(report))
            measured[drift] |= _measured(report, name)
        if number % 20 == 19:
            progress(f"  {number + 1} of {calm} batches")
    cells = [
        Cell(drift, rows, by, hits[drift][by], calm if drift is NONE else repeats, by in measured[drift])
        for drift in hits
        for by in judges
    ]
    return cells, small / calm


def _measured(report: DriftReport, changed: str) -> set[str]:
    """The detectors that measured the feature that was changed, or all features together; any, where none was."""
    return {f.detector for f in report.features if not changed or f.feature in (changed, TOGETHER)}


def _count(hits: dict[str, int], seen: set[str]) -> None:
    for by in seen & hits.keys():
        hits[by] += 1


def _held_out(model: ModelSection, champion: Trained, baseline: Baseline, progress: Progress) -> _Pool:
    """The rows that the champion was measured on and has not learned from: neither has its baseline."""
    from trainers.dataset import build

    record = champion.record
    owner = f"{record.model} version {record.version}"
    try:
        built = build(
            record.data, (), _spec(model, champion),
            schema=record.schema if record.schema.features else None, owner=owner, progress=progress,
        )  # fmt: skip
    except (TrainingError, DataError) as error:
        raise TrainingError(
            f"the data of {owner} cannot be drawn from: {error} Or name a file like it: --data FILE"
        ) from error
    frame, label = built.holdouts["old"]
    rows = Rows(_columns(frame, baseline), None if built.classes else label)
    return _Pool(rows, f"{rows.rows:,} hold-out rows of {owner}")


def _spec(model: ModelSection, champion: Trained) -> LabelSpec:
    """How the champion's labels are read: a class that was named since has no rows in its data."""
    from trainers.labels import known_positions

    spec = model.label_spec()
    known_positions(champion.record, spec)
    return replace(spec, classes=champion.record.classes)


def _from_file(model: ModelSection, champion: Trained, baseline: Baseline, path: Location) -> _Pool:
    """The rows of a file: of these, where they can be told, only those on the side that is never trained on."""
    from trainers.fingerprint import on_holdout, side_keys
    from trainers.labels import read_labels
    from trainers.schema import typed_features

    spec, schema = model.label_spec(), champion.record.schema
    named = (spec.column, *([spec.group] if spec.group else []))
    frame = read_frame(path, categorical=(*baseline.categorical, *named))
    if lacking := [name for name in baseline.features if name not in frame.columns]:
        raise DataError("columns", f"{path} lacks {some_names(lacking)}, of which the baseline is made")
    known = spec.column in frame.columns and not spec.classes
    label = read_labels(frame, spec, str(path)) if known else None
    rows = Rows(_columns(frame, baseline), label)
    group = champion.record.group
    needed = (*schema.features, *([group] if group else []))
    if schema.features and all(name in frame.columns for name in needed):
        groups = series_categories(frame[group]) if group else None
        keys = side_keys(typed_features(frame, schema, str(path), []), schema, groups)
        held = np.flatnonzero(on_holdout(keys))
        if len(held) >= _FEW:
            return _Pool(rows.take(held), f"{len(held):,} rows of {path.name} that are never trained on")
    training = (
        "The rows may be ones that the baseline was made of: such batches look more like it than new ones, with "
        "nothing out of range and no unseen category, so the false-alarm rate may be understated."
    )
    return _Pool(rows, f"{rows.rows:,} rows of {path.name}", (training,))


def _columns(frame: pd.DataFrame, baseline: Baseline) -> dict[str, np.ndarray]:
    return {
        name: series_numbers(frame[name])[0] if part.kind == "numeric" else series_categories(frame[name])
        for name, part in baseline.features.items()
    }


def _not_tried(scope: Range, *, several: bool) -> list[str]:
    why = {
        "new category": "no feature is categorical",
        "correlation": "no two numeric features go together",
        "prior": "of several classes none is the positive one"
        if several
        else "the rows have no labels of both classes",
        "unit": "no numeric feature is mostly other than zero",
        "shift": "no feature is mostly measured numbers",
        "scale": "no feature is mostly measured numbers",
        "missing": "every feature is mostly missing",
    }
    kinds = dict.fromkeys(drift.kind for drift in DRIFTS if not scope.applies(drift))
    return [f"Not tried: {kind}, since {why[kind]}." for kind in kinds]


def _limits(pool: int, sizes: Sequence[int]) -> list[str]:
    notes = []
    if again := [f"{n:,}" for n in sizes if n > pool]:
        notes.append(
            f"There are only {pool:,} rows to draw from: in batches of {', '.join(again)} rows they come several "
            "times, which makes false alarms more frequent than they would be."
        )
    elif shared := [f"{n:,}" for n in sizes if 3 * n > pool]:
        notes.append(
            f"Batches of {', '.join(shared)} rows share many of the {pool:,} rows, so they are alike, and the bound of "
            "their false-alarm rate is too good."
        )
    return notes
