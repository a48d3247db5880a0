"""The part of the contract suite for detectors of whole tables; see `detectors.checks.check_detector`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.base import Score, TableDetector, check_score
from detectors.claims import claim, claim_honest
from detectors.codes import ABOVE, BELOW, MISSING, NO_CATEGORY, UNSEEN, CodedRows, coded
from detectors.profile import FeatureProfile, categorical_profile, numeric_profile

_TRIALS = 20
# With honest p-values, more than so many of 20 below the level happens about once in 20,000 suites.
_TOO_MANY = {0.05: 6, 0.01: 3, 0.001: 2}
_SEEN = 0.001  # who deals rows out anew 1,000 times cannot say less
_REFERENCE_ROWS = 3_000
_NAMES = ("a", "b", "c", "word")


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """A reference of four features, of which two go together, and the means to draw rows like it."""

    parts: Sequence[FeatureProfile]
    reference: CodedRows
    random: np.random.Generator

    def draw(self, rows: int, drift: str = "") -> CodedRows:
        """Coded rows; `drift` is one of `_DRIFTS`."""
        return _code(self.parts, _columns(rows, self.random, drift))


_DRIFTS = (
    "a correlation that is gone",
    "a large shift of one feature",
    "half new categories",
    "half missing",
)


def _columns(rows: int, random: np.random.Generator, drift: str = "") -> dict[str, np.ndarray]:
    a = random.standard_normal(rows)
    b = 0.95 * a + 0.3 * random.standard_normal(rows)
    c = random.exponential(1, rows)
    word: np.ndarray = random.choice(np.array(["x", "y", "z"], dtype=object), rows, p=[0.6, 0.3, 0.1])
    half = random.random(rows) < 0.5
    if drift == "a correlation that is gone":
        b = random.permutation(b)
    elif drift == "a large shift of one feature":
        c = c + 2
    elif drift == "half new categories":
        word = np.where(half, np.array("new", dtype=object), word)
    elif drift == "half missing":
        c = np.where(half, np.nan, c)
    return {"a": a, "b": b, "c": c, "word": word}


def _code(parts: Sequence[FeatureProfile], columns: dict[str, np.ndarray]) -> CodedRows:
    return coded(parts, columns.__getitem__, len(columns["a"]))


def _table() -> _Table:
    random = np.random.default_rng(20_260_102)
    columns = _columns(_REFERENCE_ROWS, random)
    parts = [numeric_profile(n, columns[n]) for n in _NAMES[:3]] + [
        categorical_profile("word", columns["word"])
    ]
    return _Table(parts, _code(parts, columns), random)


def check_table_detector(detector: TableDetector) -> None:
    """The promises of `check_detector`, for `score_table`. AssertionError names the first broken one."""
    table = _table()
    _check_same_data(detector, table)
    _check_repeatable(detector, table)
    _check_no_drift(detector, table)
    seen = _check_drift(detector, table)
    _check_row_order(detector, table, seen)
    _check_odd_tables(detector, table)


def _check_same_data(detector: TableDetector, table: _Table) -> None:
    score = _score(detector, table.reference, table.reference, "the same data")
    claim(score is not None, f"it answers None for {_REFERENCE_ROWS:,} rows of the same data")
    if score is not None:
        claim(_effect(score) <= detector.moderate, f"the same data has an effect of {_effect(score)}")
        claim(score.p_value is None or score.p_value > 0.05, f"the same data gives p = {score.p_value}")


def _check_repeatable(detector: TableDetector, table: _Table) -> None:
    batch = table.draw(500)
    one, two = (_score(detector, table.reference, batch, "the same rows twice") for _ in range(2))
    claim(one == two, "asked twice about the same rows it answers differently: give it a seed of its own")


def _check_no_drift(detector: TableDetector, table: _Table) -> None:
    for rows in (300, 1000):
        scores = [_score(detector, table.reference, table.draw(rows), f"{rows} rows") for _ in range(_TRIALS)]
        claim_honest(scores, _TOO_MANY, f"tables of {rows} rows")


def _check_drift(detector: TableDetector, table: _Table) -> CodedRows:
    """A batch whose drift it sees; it must see one of them."""
    for drift in _DRIFTS:
        batch = table.draw(1000, drift)
        if _sees(detector, table.reference, batch):
            return batch
    raise AssertionError(
        f"The detector breaks its contract: of {', '.join(_DRIFTS)} in 1,000 rows none has an effect above "
        f"moderate and, where there is a p-value, p <= {_SEEN}."
    )


def _check_row_order(detector: TableDetector, table: _Table, seen: CodedRows) -> None:
    """The rows come in random order, so that the number may vary with it a little, but not the judgement."""
    for batch, drifted in ((seen, True), (table.draw(1000), False)):
        turned = CodedRows(batch.features, batch.kinds, batch.codes[::-1])
        same = _sees(detector, table.reference, turned) is _sees(detector, table.reference, batch)
        what = "with drift" if drifted else "without drift"
        claim(same, f"in a table {what} the order of the rows turns the judgement")


def _check_odd_tables(detector: TableDetector, table: _Table) -> None:
    reference, batch = table.reference, table.draw(400)
    numbers = np.array([kind == "numeric" for kind in reference.kinds])

    def filled(number: int, word: int) -> CodedRows:
        codes = np.tile(np.where(numbers, number, word).astype(np.uint8), (400, 1))
        return CodedRows(reference.features, reference.kinds, codes)

    odd = {
        "no rows": batch.head(0),
        "one row": batch.head(1),
        "rows that are all the same": filled(5, 0),
        "only missing values": filled(MISSING, NO_CATEGORY),
        "only values above the range": filled(ABOVE, UNSEEN),
        "only values below the range": filled(BELOW, UNSEEN),
    }
    for what, rows in odd.items():
        _score(detector, reference, rows, what)
        _score(detector, rows, batch, f"a reference of {what}")
    _score(detector, reference.of(["a"]), batch.of(["a"]), "a single feature")
    _score(detector, reference.of(["word"]), batch.of(["word"]), "a single category")


def _sees(detector: TableDetector, reference: CodedRows, batch: CodedRows) -> bool:
    score = _score(detector, reference, batch, "1,000 rows")
    if score is None or _effect(score) <= detector.moderate:
        return False
    return score.p_value is None or score.p_value <= _SEEN


def _effect(score: Score) -> float:
    return score.statistic if score.effect is None else score.effect


def _score(detector: TableDetector, reference: CodedRows, current: CodedRows, where: str) -> Score | None:
    try:
        score = detector.score_table(reference, current)
    except Exception as error:  # whatever it raises is the finding
        raise AssertionError(
            f"The detector breaks its contract: {where}: score_table() raised {type(error).__name__}: {error}."
        ) from error
    if score is None:
        return None
    claim(
        isinstance(score, Score), f"{where}: score_table() gave a {type(score).__name__}, not a Score or None"
    )
    try:
        check_score(score)
    except ValueError as error:
        raise AssertionError(f"The detector breaks its contract: {where}: {error}.") from None
    return score
