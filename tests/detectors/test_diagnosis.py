"""Drift and harm told apart."""

from __future__ import annotations

import pytest

from detectors.diagnosis import diagnose


@pytest.mark.parametrize(
    ("verdict", "harm", "case", "title"),
    [
        ("stable", False, "neither", "neither drift nor harm"),
        ("drift", False, "drift_without_harm", "drift without harm"),
        ("warning", False, "drift_without_harm", "drift without harm"),
        ("stable", True, "harm_without_drift",
         "harm without drift (concept drift: labels changed their meaning, features did not)"),
        ("drift", True, "both", "both drift and harm"),
        ("drift", None, "undecided", "too few labels to tell of harm; the features drifted"),
        ("stable", None, "undecided", "too few labels to tell of harm; the features did not drift"),
        (None, True, "undecided", "harm; whether the features drifted is not known"),
        ("insufficient_data", False, "undecided", "no harm; whether the features drifted is not known"),
    ],
)  # fmt: skip
def test_each_case_has_its_name(verdict, harm, case, title):
    found = diagnose(verdict, harm, labels_needed=2000)
    assert (found.case, found.title) == (case, title)
    assert found.advice.endswith(".")


def test_what_cannot_be_told_says_what_would_tell():
    assert "about 2,000 labels" in diagnose("stable", None, labels_needed=2000).advice
    assert "hold-outs have too few rows" in diagnose("stable", None).advice
    assert "`driftcatcher check FILE`" in diagnose(None, True).advice
    assert "Mend the feed first" in diagnose("broken_feed", True).advice
    assert "larger batch" in diagnose("insufficient_data", True).advice


def test_a_broken_limit_without_a_loss_is_not_called_nothing():
    found = diagnose("stable", False, broken=True)
    assert (found.case, "Nothing to do" in found.advice) == ("neither", False)
    assert "A limit is broken" in found.advice
    assert diagnose("stable", True, broken=True) == diagnose("stable", True)
