"""The contract suite for detectors of whole tables: ours keeps it, and every broken promise is named."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from detectors.base import Score
from detectors.checks import check_detector
from detectors.codes import CodedRows
from detectors.correlation import Correlation
from detectors.domain_classifier import DomainClassifier


def test_the_domain_classifier_keeps_the_contract() -> None:
    check_detector(DomainClassifier(trees=10))


def test_the_rank_correlation_keeps_the_contract() -> None:
    check_detector(Correlation())


@dataclass(frozen=True)
class MeanCode:
    """The largest distance of a feature's mean code, by Hotelling's idea with Bonferroni; spoilt where asked."""

    spoil: str = ""
    moderate: float = 0.3
    significant: float = 0.6
    calls = itertools.count()

    @property
    def name(self) -> str:
        return "Mean Code" if self.spoil == "name" else "mean_code"

    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        if self.spoil == "type":
            return 1.0  # type: ignore[return-value]
        if min(reference.rows, current.rows) < 50 and self.spoil != "rows":
            return None
        before, after = reference.codes.astype(float), current.codes.astype(float)
        if self.spoil == "order":
            after = before if after[0, 0] < after[-1, 0] else after
        spread = before.std(0)
        if self.spoil == "constant":
            z = np.abs(after.mean(0) - before.mean(0)) / spread
        else:
            z = np.abs(after.mean(0) - before.mean(0)) / np.maximum(spread, 0.05)
        effect = float(z.max())
        if self.spoil == "random":
            effect += next(self.calls) * 1e-3
        if self.spoil == "blind":
            return Score(0.0, 0.5)
        if self.spoil == "same":
            return Score(effect + 1, 0.0)
        error = float(np.sqrt(1 / reference.rows + 1 / current.rows))
        p = min(1.0, len(z) * 2 * np.exp(-0.5 * (effect / error) ** 2)) if effect else 1.0
        return Score(effect, p * (1e-3 if self.spoil == "p" and effect else 1.0))


def test_a_sound_detector_of_tables_passes() -> None:
    check_detector(MeanCode())


BROKEN = {
    "name": "its name is not short and lower case",
    "type": "the same data: score_table\\(\\) gave a float, not a Score or None",
    "rows": "(no rows|one row): (score_table|its statistic)",
    "constant": "rows that are all the same: its (statistic|effect) is (nan|inf)",
    "random": "asked twice about the same rows it answers differently",
    "blind": "of a correlation that is gone, .* none has an effect above moderate",
    "same": "the same data has an effect of 1",
    "p": "tables of 300 rows without drift have p <= 0.05",
    "order": "in a table with drift the order of the rows turns the judgement",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_promise_is_named(spoil: str) -> None:
    with pytest.raises(AssertionError, match=BROKEN[spoil]):
        check_detector(MeanCode(spoil=spoil))
