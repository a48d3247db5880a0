"""Domain classifier: can a model tell the batch's rows from the reference's? Sees what no single feature shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.base import Score
from detectors.codes import ABOVE, BELOW, OTHER, UNSEEN, CodedRows

LEAST_ROWS = 200  # fewer rows teach a classifier of many features nothing
MOST_CURRENT, MOST_REFERENCE = 2_000, 4_000
PERIOD_ROWS = "domain_classifier, rows"  # in `CodedRows.variation`: of a period
_FOLDS = 3
_FAMILIAR = 0.995  # of the reference's rows score below what counts as strange
_FUTILE = 0.3  # p after some folds, above which the others are not worth their time
_INFLATION = 1.3  # the folds share training rows, so their AUCs are not independent


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """Rows that were held out, whether they are of the batch, and the chance of it that the classifier sees."""

    rows: np.ndarray
    is_batch: np.ndarray
    chance: np.ndarray

    @property
    def area(self) -> float:
        """Area under the ROC curve."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(self.is_batch, self.chance))


@dataclass(frozen=True, slots=True)
class DomainClassifier:
    """Area under the ROC curve of a classifier that was trained to tell batch from reference, out of sample.

    The statistic is AUC - 1/2: 0 where both are alike. A gradient boosted classifier on quantile codes is
    trained on two thirds of both samples and judges the rest, three times over. Given the classifier the AUC
    of the rest is Mann and Whitney's statistic, with standard error sqrt((n + m + 1)/(12 n m)) without drift;
    the folds share training rows, so 1.3 times that is taken for several. p is that of a normal deviate. Where
    the first fold or two leave p above 0.3, no further one is trained, and what they say stands: of batches that
    all folds together would have given 0.001, one or two in a hundred are passed over so.

    Use it beside the detectors of single features: it sees a correlation that is gone, a combination that was
    never there, and many small shifts together. It needs 200 rows, and does not say which feature it was.

    Where the reference's own periods differ (`CodedRows.variation`), 1.1 times that excess is no drift, and as many
    rows of the batch are looked at as a period has.

    Attributes:
        moderate: AUC - 1/2 above which drift is moderate: what is less cannot matter to a model.
        significant: above which it is significant: Phi(s / sqrt 2) - 1/2 of a Gaussian whose shift s has a
            PSI (s squared) of 0.2.
        trees: of the classifier.
        seed: of folds and classifier.

    Examples:
        Two features whose correlation is gone; each by itself is the same as before:

        >>> import numpy as np
        >>> from detectors.codes import ABOVE, BELOW, OTHER, UNSEEN, CodedRows
        >>> rng = np.random.default_rng(7)
        >>> pair = rng.integers(1, 33, 4_000)
        >>> reference = CodedRows(("a", "b"), ("numeric",) * 2, np.stack([pair, pair], 1).astype(np.uint8))
        >>> batch = CodedRows(("a", "b"), ("numeric",) * 2, rng.integers(1, 33, (500, 2)).astype(np.uint8))
        >>> score = DomainClassifier().score_table(reference, batch)
        >>> score.statistic > 0.4, score.p_value < 1e-6
        (True, True)

    References:
        Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017; Rabanser, Günnemann and
        Lipton, "Failing loudly", NeurIPS 2019; Mann and Whitney, Ann. Math. Stat. 18 (1947).
    """

    moderate: float = 0.03
    significant: float = 0.124
    trees: int = 30
    seed: int = 0

    @property
    def name(self) -> str:
        return "domain_classifier"

    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        """AUC - 1/2 and p; None below 200 rows on either side."""
        if min(reference.rows, current.rows) < LEAST_ROWS:
            return None
        own = reference.variation.get(self.name, 0.0)
        like = int(reference.variation.get(PERIOD_ROWS, MOST_CURRENT))  # of more rows it learns more
        before, after = reference.head(MOST_REFERENCE), current.head(like)
        areas: list[float] = []
        for fold in self._folds(before, after):
            areas.append(fold.area)
            error = math.sqrt(_FOLDS / len(areas)) * _error(before.rows, after.rows)
            error *= _INFLATION if len(areas) > 1 else 1.0
            p = 0.5 * math.erfc((np.mean(areas) - 0.5 - 1.1 * own) / error / math.sqrt(2))
            if p > _FUTILE:
                break
        area = float(np.mean(areas))
        # below 1/2 the classifier has learned the rows by heart, and there was nothing else
        excess = max(0.0, area - 0.5)
        text = f"rows told from the reference with an AUC of {area:.2f}"
        return Score(excess, p, max(0.0, excess - own), text)

    def strange_rows(self, reference: CodedRows, current: CodedRows) -> np.ndarray | None:
        """Rows of the batch that look like practically none of the reference, bool, at most 2,000.

        Those that, out of sample, score higher than 199 of 200 reference rows, as far as they are more than
        chance would put there. None below 200 rows on either side.
        """
        if min(reference.rows, current.rows) < LEAST_ROWS:
            return None
        before, after = reference.head(MOST_REFERENCE), current.head(MOST_CURRENT)
        folds = list(self._folds(before, after))
        strange = np.empty(after.rows, dtype=bool)
        least = np.quantile(np.concatenate([fold.chance[~fold.is_batch] for fold in folds]), _FAMILIAR)
        for fold in folds:
            strange[fold.rows[fold.is_batch] - before.rows] = fold.chance[fold.is_batch] > least
        return strange

    def chance_of_batch(self, reference: CodedRows, current: CodedRows) -> np.ndarray | None:
        """For each row of the batch, however many, how sure it is that it is none of the reference, from 0 to 1.

        Out of sample: a third of the rows is judged by a classifier that has learned from at most 2,000 of the
        others and from two thirds of the reference. A row beyond the reference's range is as strange as it looks:
        this is no test. None below 200 rows on either side.
        """
        if min(reference.rows, current.rows) < LEAST_ROWS:
            return None
        before, after = reference.head(MOST_REFERENCE).codes, current.codes
        random = np.random.default_rng(self.seed)
        of, reference_of = (random.permutation(len(part)) % _FOLDS for part in (after, before))
        chance = np.empty(len(after))
        for k in range(_FOLDS):
            others = np.flatnonzero(of != k)
            learned = random.choice(others, min(MOST_CURRENT, len(others)), replace=False)
            kept = before[reference_of != k]
            codes = np.concatenate([kept, after[learned]])
            model = self._classifier().fit(codes, np.repeat([False, True], [len(kept), len(learned)]))
            chance[of == k] = model.predict_proba(after[of == k])[:, 1]
        return chance

    def _folds(self, reference: CodedRows, current: CodedRows) -> Iterator[_Fold]:
        """Each third of the rows, judged by a classifier that has learned the others."""
        codes = np.concatenate([_within(reference), _within(current)])
        is_batch = np.repeat([False, True], [reference.rows, current.rows])
        random = np.random.default_rng(self.seed)
        of = np.concatenate([random.permutation(part.rows) % _FOLDS for part in (reference, current)])
        for k in range(_FOLDS):
            rows = np.flatnonzero(of == k)
            model = self._classifier().fit(codes[of != k], is_batch[of != k])
            yield _Fold(rows, is_batch[rows], model.predict_proba(codes[rows])[:, 1])

    def _classifier(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=16,
            min_samples_leaf=20,
            class_weight="balanced",
            early_stopping=False,
            max_bins=64,
            random_state=self.seed,
        )


def _error(m: int, n: int) -> float:
    """Standard error of the AUC of m and n rows without drift (Mann and Whitney)."""
    return math.sqrt((n + m + 1) / (12 * n * m))


def _within(rows: CodedRows) -> np.ndarray:
    """The codes without those that the reference cannot have because it has drawn the line itself.

    Its own extremes are the training range, and what it holds is what has been seen: without drift too, only
    the batch has rows beyond. Detectors of single features know how many that may be.
    """
    codes = rows.codes.copy()
    numeric = np.array([kind == "numeric" for kind in rows.kinds])
    codes[(codes == BELOW) & numeric] = BELOW + 1
    codes[(codes == ABOVE) & numeric] = ABOVE - 1
    codes[(codes == UNSEEN) & ~numeric] = OTHER
    return codes
