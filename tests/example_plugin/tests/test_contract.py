"""What a package of your own should test first: that its detectors keep DriftCatcher's contract."""

from __future__ import annotations

import numpy as np
import pytest
from driftcatcher_example import MedianShift, RankCorrelation

from detectors.checks import check_detector
from detectors.profile import numeric_profile


@pytest.mark.parametrize("detector", [MedianShift(), RankCorrelation()])
def test_the_contract(detector):
    check_detector(detector)


def test_the_share_above_the_median():
    reference = numeric_profile("x", np.arange(1.0, 101.0))
    score = MedianShift().score(reference, reference.summarize(np.arange(51.0, 101.0)))
    assert (score.statistic, score.detail) == (0.5, "above 50: 50 % → 100 %")
