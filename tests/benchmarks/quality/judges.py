"""Who judges a batch: our rule, and the classic one. Peers are in `peers`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from detectors import Baseline, DriftReport, check

OURS = "DriftCatcher"
_FREQUENT = 30  # categories with a cell of their own, in the classic rule as in ours
CALM = ("stable", "insufficient_data")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was said of one batch.

    Attributes:
        alarm: drift, a warning, or a broken feed.
        ranking: features, the most suspect first.
        seconds: of the check alone, not of fitting the reference.
        why: what raised the alarm, for people.
    """

    alarm: bool
    ranking: tuple[str, ...] = ()
    seconds: float = 0.0
    why: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Estimated:
    """What was said of a champion's accuracy on a batch without labels.

    Attributes:
        low / high: of the interval.
        alarm: the estimate itself raises one.
        seconds: of the estimate alone.
    """

    accuracy: float
    low: float
    high: float
    alarm: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One judged batch.

    Attributes:
        section / name: its place in the table.
        features / rows: of the batch.
        expected: whether an alarm is right.
        judgement: what was said.
        drifted: features that truly drifted and can be blamed singly.
        facts: numbers of a batch that a champion scored.
        seed: with which it was drawn.
        first: how many features at the top are held against the truth; None: as many as drifted.
    """

    section: str
    name: str
    features: int
    rows: int
    expected: bool
    judgement: Judgement
    drifted: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    first: int | None = None

    @property
    def precision(self) -> float | None:
        """Share of truly drifted features among the k that rank first, k as many as drifted, or `first`."""
        if not self.drifted:
            return None
        k = min(len(self.drifted), self.first or len(self.drifted))
        return len(set(self.judgement.ranking[:k]) & set(self.drifted)) / k


class Judge(Protocol):
    """Learns a reference once and judges batches against it."""

    @property
    def name(self) -> str: ...

    def judge(
        self, reference: pd.DataFrame, batches: Iterable[pd.DataFrame], period: str | None = None
    ) -> list[Judgement]: ...


@dataclass(frozen=True, slots=True)
class Ours:
    """`check` with its default detectors and policy."""

    name: str = OURS

    def judge(
        self, reference: pd.DataFrame, batches: Iterable[pd.DataFrame], period: str | None = None
    ) -> list[Judgement]:
        baseline = Baseline.fit(reference, period=period)
        return [self.one(baseline, batch) for batch in batches]

    def one(self, baseline: Baseline, batch: pd.DataFrame) -> Judgement:
        started = time.perf_counter()
        report = check(baseline, batch)
        return judged(report, time.perf_counter() - started)


def judged(report: DriftReport, seconds: float) -> Judgement:
    """A report as a judgement: the ranking is the order in which the report names features."""
    ranking = tuple(dict.fromkeys(f.feature for f in report.features if not f.feature.startswith("(")))
    found = [f"{f.detector} {f.feature}: p {f.p_value}, effect {f.effect:.3f}" for f in report.drifted[:3]]
    broken = report.errors[:2] if report.verdict == "broken_feed" else ()
    notes = report.notes[:2] if report.verdict not in CALM and not found else ()
    return Judgement(
        report.verdict not in CALM, ranking, seconds, "; ".join([*found, *broken, *notes]), report.verdict
    )


@dataclass(frozen=True, slots=True)
class Classic:
    """PSI of deciles with an epsilon of 1e-4 in empty cells, against the fixed 0.1: of the mean, or of any feature."""

    any_feature: bool = False

    @property
    def name(self) -> str:
        return f"classic rule, {'any feature' if self.any_feature else 'mean'} PSI > 0.1"

    def judge(
        self, reference: pd.DataFrame, batches: Iterable[pd.DataFrame], period: str | None = None
    ) -> list[Judgement]:
        features = [name for name in reference.columns if name != period and not name.startswith("id_")]
        shares = {name: _shares(reference[name], reference[name]) for name in features}
        return [self._one(reference, shares, batch) for batch in batches]

    def _one(self, reference: pd.DataFrame, shares: dict[str, np.ndarray], batch: pd.DataFrame) -> Judgement:
        started = time.perf_counter()
        scores = {}
        for name, before in shares.items():
            after = np.maximum(_shares(reference[name], batch[name]), 1e-4)
            before = np.maximum(before, 1e-4)
            scores[name] = float(((after - before) * np.log(after / before)).sum())
        value = max(scores.values()) if self.any_feature else float(np.mean(list(scores.values())))
        ranking = tuple(sorted(scores, key=lambda name: -scores[name]))
        return Judgement(value > 0.1, ranking, time.perf_counter() - started, f"PSI {value:.3f}")


def _shares(reference: pd.Series, values: pd.Series) -> np.ndarray:
    """Of the rows in the reference's deciles, or frequent categories and the rest; missing ones are left out."""
    if reference.dtype.kind in "fi":
        edges = np.unique(np.nanquantile(reference.to_numpy(), np.linspace(0, 1, 11)))[1:-1]
        cells = np.bincount(
            np.searchsorted(edges, values.dropna().to_numpy(), "left"), minlength=len(edges) + 1
        )
    else:
        frequent = reference.value_counts().index[:_FREQUENT]
        counts = values.value_counts()
        named = counts.reindex(frequent, fill_value=0).to_numpy()
        cells = np.append(named, counts.sum() - named.sum())
    return np.asarray(cells / max(1, cells.sum()))
