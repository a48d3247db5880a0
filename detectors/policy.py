"""The policy: thresholds and corrections that turn measurements into a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class FeaturePolicy:
    """What is different for one feature; None keeps the general value.

    Attributes:
        moderate / significant: effect thresholds instead of the detector's.
        alpha: significance level instead of the policy's.
        ignore: leave the feature out of the verdict.
    """

    moderate: float | None = None
    significant: float | None = None
    alpha: float | None = None
    ignore: bool = False

    @property
    def own(self) -> bool:
        """Whether the feature has thresholds of its own: by those alone it is judged, not among all together."""
        return self.moderate is not None or self.significant is not None or self.ignore


@dataclass(frozen=True, slots=True)
class Policy:
    """How measurements become a verdict.

    calibrated: a finding is drift when it is significant after the correction for all features and detectors
    *and* its size-corrected effect exceeds the detector's threshold. classic: the mean PSI over the features.

    Attributes:
        kind: calibrated or classic.
        alpha: family-wise significance level of a batch.
        joint_alpha: significance level of the tests of all features together, which are a family of their own.
            Below 1 / 2,000 times the number of those tests (4 by default with a champion), it silences the rank
            correlation, whose p is never smaller (its parameter `deals`).
        correction: holm, or none (each finding at alpha by itself).
        classic_warning / classic_retrain: mean PSI above which classic warns, and recommends to retrain.
        features: overrides by feature.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """

    kind: Literal["calibrated", "classic"] = "calibrated"
    alpha: float = 0.008
    joint_alpha: float = 0.005
    correction: Literal["holm", "none"] = "holm"
    classic_warning: float = 0.1
    classic_retrain: float = 0.2
    features: Mapping[str, FeaturePolicy] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, feature: str) -> FeaturePolicy:
        """The overrides of one feature."""
        return self.features.get(feature, FeaturePolicy())
