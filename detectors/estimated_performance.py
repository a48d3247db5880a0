"""What a batch without labels has probably cost the model: confidence-based estimation, in difference form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.codes import ABOVE, BELOW, UNSEEN, CodedRows
from detectors.report import Estimate

if TYPE_CHECKING:
    from detectors.track_record import TrackRecord

LEAST_RECORD = 300  # rows of a track record below which nothing is estimated
_Z = 1.959964  # of a 95 % interval
_EDGE = 1e-6  # scores of exactly 0 and 1 have no logit
# What makes rows hard shows only partly in score and features: over synthetic champions with known truth the
# accuracy moved up to 1.5 times as far as any form saw, in either direction.
_UNSEEN_PART = 0.5
_CHANCE = 0.005  # of rows that a domain classifier calls strange without reason


def estimate(
    record: TrackRecord,
    rows: CodedRows,
    predicted: np.ndarray,
    score: np.ndarray,
    strange: np.ndarray | None = None,
) -> Estimate | None:
    """Estimate accuracy, precision and recall on unlabelled rows.

    None where the track record is shorter than 300 rows, or of one class only. Of several classes accuracy alone is
    estimated: there the curves go from the probability of the predicted class to being right.

    Each row has a probability e of being predicted rightly. The estimate is the accuracy on the hold-outs plus
    the difference of the mean e between batch and hold-outs, so that a model that is over-confident everywhere
    is not believed. e comes in three forms: scores calibrated by a logistic curve (Platt), by an isotonic
    one, and a regression of being right on score and features. The estimate is the first or the
    last, whichever has moved further; the interval spans all three, half as far again on the side to which they
    moved, and 1.96 standard errors, of the hold-outs' finite number and of the batch's own.

    Args:
        record: of the model on its hold-outs.
        rows: of the batch, coded by the same baseline.
        predicted / score: label and probability of class 1 that the model gives them, shape (rows,); of several
            classes position and probability of the one it says.
        strange: rows that a domain classifier puts where the reference has none, bool, shape (rows,).

    References:
        Garg et al., "Leveraging unlabeled data to predict out-of-distribution performance", ICLR 2022;
        Platt, "Probabilistic outputs for support vector machines" (1999); Zadrozny and Elkan, KDD 2002; Guillory
        et al., "Predicting with confidence on unseen distributions", ICCV 2021 (the difference form).
    """
    if record.rows.rows < LEAST_RECORD or not rows.rows or len(np.unique(record.label)) < 2:
        return None  # hold-outs of one class say nothing of the other
    reference, right = record.accuracy, record.right.astype(np.float64)
    known = record.rows.of(rows.features)
    platt = _calibrated(_platt, record, record.score), _calibrated(_platt, record, score)
    isotonic = _calibrated(_isotonic, record, record.score), _calibrated(_isotonic, record, score)
    said = None if record.classes else record.predicted, None if record.classes else predicted
    before, after = (_right(p, what) for p, what in zip(platt, said, strict=True))
    forms = [
        (before, after),
        (_right(isotonic[0], said[0]), _right(isotonic[1], said[1])),
        _regressed(replace(record, rows=known), rows, predicted, score),
    ]
    moves = [float(e.mean() - usual.mean()) for usual, e in forms]
    # each is blind to something: the score to a hard segment, the regression to what the record has few rows of
    move = max((moves[0], moves[2]), key=abs)
    spread = max(float(np.var(right - before)), 1 / (len(right) + 2))  # a record without mistakes is no proof
    error = math.sqrt(spread / len(right) + float((after * (1 - after)).mean()) / len(after))
    return Estimate(
        accuracy=_share(reference + move),
        low=_share(reference + (1 + _UNSEEN_PART) * min(0.0, *moves) + max(0.0, min(moves)) - _Z * error),
        high=_share(reference + (1 + _UNSEEN_PART) * max(0.0, *moves) + min(0.0, max(moves)) + _Z * error),
        reference=reference,
        rows=rows.rows,
        outside=_outside(known, rows, strange),
        **({} if record.classes else _precision_and_recall(record, predicted, *platt)),
    )


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _right(chance: np.ndarray, predicted: np.ndarray | None) -> np.ndarray:
    """Probability of being right, from that of class 1; without predictions it is that of being right already."""
    return chance if predicted is None else np.where(predicted == 1, chance, 1 - chance)


def _logit(score: np.ndarray) -> np.ndarray:
    clipped = np.clip(score, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _calibrated(curve: Any, record: TrackRecord, score: np.ndarray) -> np.ndarray:
    """What the scores are worth: the chance of class 1, or of several classes that of being right."""
    truth = record.right.astype(np.uint8) if record.classes else record.label
    if truth.min() == truth.max():  # always right, or never
        return np.full(len(score), float(truth[0]))
    chance: np.ndarray = np.clip(curve(record.score, truth, score), 0.0, 1.0)
    return chance


def _platt(known: np.ndarray, label: np.ndarray, score: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(_logit(known)[:, None], label)
    chance: np.ndarray = model.predict_proba(_logit(score)[:, None])[:, 1]
    return chance


def _isotonic(known: np.ndarray, label: np.ndarray, score: np.ndarray) -> np.ndarray:
    from sklearn.isotonic import IsotonicRegression

    chance: np.ndarray = IsotonicRegression(out_of_bounds="clip").fit(known, label).predict(score)
    return chance


def _regressed(
    record: TrackRecord, rows: CodedRows, predicted: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of being right by a regression on score and features: cross-fitted, and on the batch."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    def table(codes: np.ndarray, said: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.column_stack([codes, said, p])

    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=40, max_bins=64,
        early_stopping=False, random_state=0,
    )  # fmt: skip
    known = table(record.rows.codes, record.predicted, record.score)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    if min(np.bincount(record.right.astype(int), minlength=2)) < folds.n_splits:
        flat = record.accuracy
        return np.full(len(known), flat), np.full(len(score), flat)
    before = cross_val_predict(model, known, record.right, cv=folds, method="predict_proba")[:, 1]
    after = model.fit(known, record.right).predict_proba(table(rows.codes, predicted, score))[:, 1]
    return before, after


def _outside(known: CodedRows, rows: CodedRows, strange: np.ndarray | None) -> float:
    """Share of the rows where the training has next to none, above what its own hold-outs show."""
    foreign = float(foreign_rows(rows).mean()) - float(foreign_rows(known).mean())
    if strange is None:
        return max(0.0, foreign)
    either = foreign_rows(rows.head(len(strange))) | strange
    return max(0.0, foreign, float(either.mean()) - float(foreign_rows(known).mean()) - _CHANCE)


def foreign_rows(rows: CodedRows) -> np.ndarray:
    """Rows with a value beyond the training range or a category never seen, bool, shape (rows,)."""
    numeric = np.array([kind == "numeric" for kind in rows.kinds])
    beyond = (rows.codes == BELOW) | (rows.codes == ABOVE)
    return np.asarray(((beyond & numeric) | ((rows.codes == UNSEEN) & ~numeric)).any(axis=1))


def _precision_and_recall(
    record: TrackRecord, predicted: np.ndarray, before: np.ndarray, after: np.ndarray
) -> dict[str, float | None]:
    """In difference form too: what the hold-outs gave plus how the calibrated form moved."""

    def forms(said: np.ndarray, chance: np.ndarray) -> tuple[float | None, float | None]:
        hits, alarms, all_positive = (
            float(chance[said == 1].sum()),
            int((said == 1).sum()),
            float(chance.sum()),
        )
        return (hits / alarms if alarms else None), (hits / all_positive if all_positive >= 1 else None)

    known = forms(record.predicted, before)
    truth = forms(record.predicted, record.label.astype(np.float64))
    moved: list[float | None] = [
        None if t is None or k is None or b is None else _share(t + b - k)
        for t, k, b in zip(truth, known, forms(predicted, after), strict=True)
    ]
    return {"precision": moved[0], "recall": moved[1]}
