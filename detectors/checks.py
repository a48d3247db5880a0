"""The contract suite of detectors: `check_detector(MyDetector())` in a test tells a third party what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.base import AnyDetector, Detector, Score, TableDetector, check_score
from detectors.claims import claim, claim_honest
from detectors.profile import FeatureProfile, categorical_profile, numeric_profile
from detectors.table_checks import check_table_detector

_TRIALS = 200
# With honest p-values, more than so many of 200 below the level happens once in 100,000 suites.
_TOO_MANY = {0.05: 28, 0.01: 12, 0.001: 5}


@dataclass(frozen=True, slots=True)
class _Case:
    """A reference and the means to draw batches like it, and one that clearly drifted."""

    name: str
    reference: FeatureProfile
    draw: Callable[[int], np.ndarray]
    drifted: np.ndarray


def check_detector(detector: AnyDetector) -> None:
    """Try a detector on what the field will bring: of single features, of whole tables, or both.

    The same data gives zero, row order does not matter, p-values without drift are not too small, some
    known drift is seen, and constants, missing values, infinities, single rows and unseen categories give
    finite answers. A detector of whole tables has to give no drift on the same data, the same answer to the same
    rows, and the same judgement in any order of them.

    Raises:
        AssertionError: with a plain sentence on the first promise that is broken.
    """
    _check_attributes(detector)
    if isinstance(detector, TableDetector):
        check_table_detector(detector)
    if isinstance(detector, Detector):
        _check_features(detector)


def _check_features(detector: Detector) -> None:
    cases = _cases(np.random.default_rng(20_260_101))
    measured = [case for case in cases if _score(detector, case, case.reference) is not None]
    claim(bool(measured), "it answered None for every kind of feature, numeric and categorical")
    for case in measured:
        _check_same_data(detector, case)
        _check_row_order(detector, case)
        _check_no_drift(detector, case)
        _check_drift(detector, case)
    for case in cases:
        _check_odd_batches(detector, case)
    _check_odd_references(detector)


def _check_attributes(detector: AnyDetector) -> None:
    claim(
        isinstance(detector, (Detector, TableDetector)),
        "it lacks name, moderate, significant or score() (or, for whole tables, score_table())",
    )
    claim(
        bool(detector.name) and detector.name == detector.name.lower(), "its name is not short and lower case"
    )
    claim(
        0 <= detector.moderate <= detector.significant, "its thresholds are not 0 <= moderate <= significant"
    )


def _check_same_data(detector: Detector, case: _Case) -> None:
    score = _answer(detector, case, case.reference)
    claim(abs(score.statistic) < 1e-9, f"{case.name}: the same data gives {score.statistic}, not 0")
    if score.p_value is not None:
        claim(score.p_value > 0.5, f"{case.name}: the same data gives p = {score.p_value}")


def _check_row_order(detector: Detector, case: _Case) -> None:
    values = case.draw(500)
    one = _score(detector, case, case.reference.summarize(values))
    two = _score(detector, case, case.reference.summarize(values[::-1].copy()))
    claim(_numbers(one) == _numbers(two), f"{case.name}: the order of the rows changes the answer")


def _check_no_drift(detector: Detector, case: _Case) -> None:
    for rows in (50, 500):
        scores = [_score(detector, case, case.reference.summarize(case.draw(rows))) for _ in range(_TRIALS)]
        claim_honest(scores, _TOO_MANY, f"batches of {rows} rows ({case.name})")


def _check_drift(detector: Detector, case: _Case) -> None:
    """A detector may be made for one kind of drift: of a shift, holes and foreign values it must see one."""
    seen = {what: _sees(detector, case, values) for what, values in _drifts(case).items()}
    claim(
        any(seen.values()),
        f"{case.name}: of {', '.join(seen)} in 1,000 rows none has an effect above moderate and, where there "
        "is a p-value, p < 0.0001",
    )


def _drifts(case: _Case) -> dict[str, np.ndarray]:
    rows = np.arange(1000)
    gap: Any = None
    if case.reference.kind == "numeric":
        gap, foreign = np.nan, np.full(1000, 1e6)
    else:
        foreign = np.array([f"new {i % 3}" for i in rows], dtype=object)
    return {
        "a large shift": case.drifted,
        "half missing": np.where(rows % 2, case.draw(1000), gap),
        "half foreign values": np.where(rows % 2, case.draw(1000), foreign),
    }


def _sees(detector: Detector, case: _Case, values: np.ndarray) -> bool:
    score = _score(detector, case, case.reference.summarize(values))
    if score is None:
        return False
    effect = score.statistic if score.effect is None else score.effect
    return effect > detector.moderate and (score.p_value is None or score.p_value < 1e-4)


def _check_odd_batches(detector: Detector, case: _Case) -> None:
    numeric = case.reference.kind == "numeric"
    gap: Any = np.nan if numeric else None
    odd = {
        "one row": case.draw(1),
        "a constant": np.repeat(case.draw(1), 300),
        "only missing values": np.full(300, gap, dtype=np.float64 if numeric else object),
        "half missing": np.where(np.arange(300) % 2, case.draw(300), gap),
        "no rows": case.draw(1)[:0],
    }
    if numeric:
        odd["infinities"] = np.where(np.arange(300) % 3, case.draw(300), np.inf)
        odd["only infinities"] = np.full(300, -np.inf)
        odd["huge numbers"] = np.full(300, 1e308)
    else:
        odd["unseen categories"] = np.array([f"new {i}" for i in range(300)], dtype=object)
    for what, values in odd.items():
        _score(detector, case, case.reference.summarize(values), what)


def _check_odd_references(detector: Detector) -> None:
    rng = np.random.default_rng(3)
    draw = rng.standard_normal
    references = {
        "a constant reference": np.full(500, 7.0),
        "a reference of one row": np.array([7.0]),
        "a mostly missing reference": np.where(np.arange(500) % 50, np.nan, draw(500)),
        "a reference with infinities": np.where(np.arange(500) % 5, draw(500), np.inf),
    }
    for name, values in references.items():
        reference = numeric_profile("x", values)
        case = _Case(name, reference, lambda rows: draw(rows), values)
        for batch in (reference, reference.summarize(draw(200)), reference.summarize(np.full(200, np.nan))):
            _score(detector, case, batch)


def _score(detector: Detector, case: _Case, current: FeatureProfile, what: str = "") -> Score | None:
    where = f"{case.name}, {what}" if what else case.name
    try:
        score = detector.score(case.reference, current)
    except Exception as error:  # whatever it raises is the finding
        raise AssertionError(f"{where}: score() raised {type(error).__name__}: {error}") from error
    if score is None:
        return None
    claim(isinstance(score, Score), f"{where}: score() gave a {type(score).__name__}, not a Score or None")
    try:
        check_score(score)
    except ValueError as error:
        raise AssertionError(f"{where}: {error}") from None
    return score


def _answer(detector: Detector, case: _Case, current: FeatureProfile) -> Score:
    score = _score(detector, case, current)
    if score is None:
        raise AssertionError(f"{case.name}: it answers None for some batches of a feature and not for others")
    return score


def _numbers(score: Score | None) -> tuple[float, ...] | None:
    if score is None:
        return None
    values = (score.statistic, score.p_value, score.effect)
    return tuple(round(math.nan if v is None else v, 9) for v in values if v is not None)


def _cases(rng: np.random.Generator) -> list[_Case]:
    words = np.array([f"c{i}" for i in range(40)], dtype=object)
    weights = 1 / np.arange(1, 41)
    weights /= weights.sum()

    def sparse(rows: int) -> np.ndarray:
        return np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(10, rows))

    def counts(rows: int) -> np.ndarray:
        return rng.poisson(3, rows).astype(np.float64)

    def category(rows: int) -> np.ndarray:
        drawn: np.ndarray = rng.choice(words, rows, p=weights)
        return drawn

    return [
        _Case(
            "normal",
            numeric_profile("x", rng.standard_normal(5000)),
            rng.standard_normal,
            rng.normal(1.5, 1, 1000),
        ),
        _Case("mostly zero", numeric_profile("x", sparse(5000)), sparse, rng.exponential(10, 1000)),
        _Case("counts", numeric_profile("x", counts(5000)), counts, counts(1000) + 4),
        _Case("categories", categorical_profile("x", category(5000)), category, rng.choice(words[5:], 1000)),
    ]
