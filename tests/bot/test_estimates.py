"""How good the estimates have been, from records and reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.estimates import comparable, estimates, estimates_line
from detectors.report import DriftReport, Estimate
from state.records import PerformanceRecord


def record(
    key: int, batch_id: int | None, accuracy: float | None, rows: int = 400, **details: Any
) -> PerformanceRecord:
    kept = {"batch": {"named": True, "rows": 500}, "counts": {"predictions": 500}, "classes": None, **details}
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return PerformanceRecord(
        key, "m", "/p.csv", "s", at, rows, {"accuracy": accuracy}, (), batch_id=batch_id, details=kept
    )


def report(accuracy: float, low: float, high: float, outside: float = 0.0) -> DriftReport:
    estimate = Estimate(accuracy, low, high, 0.95, 500, outside)
    return DriftReport("stable", "none", 0.0, 500, (), estimate=estimate)


def test_errors_are_averaged_in_points_and_hits_counted():
    reports = {1: report(0.95, 0.94, 0.96), 2: report(0.90, 0.88, 0.92), 3: report(0.80, 0.79, 0.81)}
    found = estimates([record(1, 1, 0.955), record(2, 2, 0.89), record(3, 3, 0.84)], reports)
    assert (found.checked, found.inside, found.share_inside) == (3, 2, 2 / 3)
    assert found.error == pytest.approx((0.5 + 1 + 4) / 3)
    assert estimates_line(found) == (
        "Estimates so far: 3 checked against labels, off by 1.8 points on average, 2 of 3 inside the interval"
    )


def test_of_each_batch_the_newest_evaluation_counts():
    found = estimates(
        [record(1, 1, 0.5), record(2, 1, 0.95), record(3, None, 0.1)], {1: report(0.95, 0.9, 1.0)}
    )
    assert (found.checked, found.error) == (1, 0.0)


@pytest.mark.parametrize(
    "other",
    [
        record(1, 1, 0.9, rows=99),
        record(1, 1, None),
        record(1, 2, 0.9),
        record(1, 3, 0.9),
        record(1, 1, 0.9, classes={"classes": ["a", "b", "c"]}),
        record(1, 1, 0.9, batch={"named": False, "rows": 499}),
    ],
    ids=["few labels", "no accuracy", "no estimate", "not valid", "several classes", "perhaps another batch"],
)
def test_what_an_estimate_cannot_be_held_against_is_left_out(other):
    without = DriftReport("stable", "none", 0.0, 500, ())
    reports = {1: report(0.9, 0.8, 1.0), 2: without, 3: report(0.9, 0.8, 1.0, outside=0.5)}
    assert estimates([other], reports) is None


def test_an_evaluation_by_class_counts_where_the_model_tells_those_classes_apart():
    each = {"classes": {"classes": ["a", "b", "c"]}}
    assert comparable([record(1, 1, 0.9, **each)]) == {}, "of two classes more were measured"
    assert set(comparable([record(1, 1, 0.9, **each, own_classes=True)])) == {1}


def test_a_batch_that_was_not_named_counts_where_its_rows_agree():
    assert list(comparable([record(1, 7, 0.9, batch={"named": False, "rows": 500})])) == [7]


def test_records_of_an_earlier_release_say_nothing():
    old = PerformanceRecord(
        1, "m", "/p.csv", "s", datetime(2026, 3, 1, tzinfo=UTC), 500, {"accuracy": 0.9}, ()
    )
    assert estimates([old], {}) is None
