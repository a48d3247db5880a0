"""What a detector is: it compares reference and batch and returns numbers; it does not judge.

One kind compares the summaries of one feature (`Detector`), another some rows with all features (`TableDetector`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from detectors.codes import CodedRows
    from detectors.profile import FeatureProfile


@dataclass(frozen=True, slots=True)
class Score:
    """What a detector measured on one feature.

    Attributes:
        statistic: the number its literature defines, finite.
        p_value: probability of a statistic this large without drift, in [0, 1]; None where there is none.
        effect: the statistic corrected for sample size, held against the thresholds; the statistic if None.
        detail: one short phrase for people, or empty.
    """

    statistic: float
    p_value: float | None = None
    effect: float | None = None
    detail: str = ""


class Named(Protocol):
    """What every detector says of itself.

    A detector is a class whose instances are made with the parameters of its table in the configuration
    (a frozen dataclass is the natural form: unknown parameters are then refused by name).

    Attributes:
        name: short, lower case, as in the configuration.
        moderate: effect above which drift is moderate.
        significant: effect above which drift is significant.
    """

    @property
    def name(self) -> str: ...

    @property
    def moderate(self) -> float: ...

    @property
    def significant(self) -> float: ...


@runtime_checkable
class Detector(Named, Protocol):
    """The plug-in protocol, entry-point group `driftcatcher.detectors`: looks at one feature at a time."""

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """Compare a feature's reference summary with the batch's; None where the detector does not apply."""
        ...


@runtime_checkable
class TableDetector(Named, Protocol):
    """The same for a detector that looks at all features together."""

    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        """Compare random rows of both, coded by the reference; None where there are too few of them."""
        ...


AnyDetector = Detector | TableDetector


def check_score(score: Score) -> None:
    """ValueError where a detector's answer cannot be judged: not finite, or p outside [0, 1]."""
    for what, value in (("statistic", score.statistic), ("effect", score.effect)):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"its {what} is {value}, not a finite number")
    if score.p_value is not None and not 0.0 <= score.p_value <= 1.0:
        raise ValueError(f"its p-value is {score.p_value}, not within 0 and 1")
