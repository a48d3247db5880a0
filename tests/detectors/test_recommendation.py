"""What is recommended for which verdict, by what the batch has probably cost."""

from __future__ import annotations

import pytest

from detectors.policy import Policy
from detectors.recommendation import recommend
from detectors.report import Estimate

FINE = Estimate(0.95, 0.94, 0.96, 0.95, 1000, 0.0)
WORSE = Estimate(0.88, 0.86, 0.90, 0.95, 1000, 0.0)
UNSURE = Estimate(0.935, 0.90, 0.96, 0.95, 1000, 0.0)
PARTLY = Estimate(
    0.95, 0.94, 0.96, 0.95, 1000, 0.04
)  # these four points may be lost whatever the estimate says
AWAY = Estimate(0.95, 0.94, 0.96, 0.95, 1000, 0.4)  # outside the training nothing is estimated


@pytest.mark.parametrize(
    ("verdict", "labelled", "estimate", "advice"),
    [
        ("stable", 0, None, "none"),
        ("stable", 500, FINE, "none"),
        ("insufficient_data", 0, None, "none"),
        ("broken_feed", 500, None, "investigate"),
        ("warning", 0, None, "investigate"),
        ("warning", 500, FINE, "investigate"),
        ("warning", 0, UNSURE, "label"),
        ("warning", 0, AWAY, "label"),
        ("warning", 0, PARTLY, "label"),
        ("warning", 0, WORSE, "retrain"),
        ("drift", 0, None, "label"),
        ("drift", 500, None, "retrain"),
        ("drift", 500, FINE, "label"),  # never nothing: it cannot see labels that changed their meaning
        ("drift", 0, FINE, "label"),
        ("drift", 500, PARTLY, "retrain"),
        ("drift", 0, WORSE, "retrain"),
        ("drift", 500, AWAY, "retrain"),
        ("drift", 0, AWAY, "label"),
    ],
)
def test_advice(verdict, labelled, estimate, advice):
    assert recommend(verdict, Policy(), labelled, estimate) == advice


@pytest.mark.parametrize(
    ("verdict", "advice"), [("drift", "retrain"), ("warning", "investigate"), ("stable", "none")]
)
def test_classic_knows_nothing_of_cost(verdict, advice):
    assert recommend(verdict, Policy(kind="classic"), 0, FINE) == advice
