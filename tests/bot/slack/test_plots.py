"""Pictures: real PNG of the promised width, with what they are to show in the right place."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import numpy as np
import pytest

from bot.slack import plots
from detectors.profile import categorical_profile, numeric_profile


def size(png: bytes) -> tuple[int, int]:
    """Width and height from the header of a PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)


def words(*values: str | None) -> Any:
    return np.array(values, dtype=object)


@pytest.fixture
def duration() -> Any:
    return numeric_profile("duration", np.arange(1.0, 1001.0))


def test_a_numeric_feature_is_drawn_wide_enough_for_a_phone(make: Any, duration: Any) -> None:
    current = duration.summarize(np.r_[np.full(50, 5000.0), np.full(50, np.nan)])
    width, height = size(plots.distribution_plot("duration", duration, current, make.finding()))
    assert width == 1200
    assert 700 <= height <= 1300


def test_shares_are_those_of_the_cells(duration: Any) -> None:
    current = duration.summarize(np.r_[np.full(25, 5000.0), np.full(50, np.nan), np.full(25, 1.0)])
    bars = plots.shares(duration, current)
    labels = [label for label, _, _ in bars]
    assert labels[0] == "1 to 100" and labels[-2:] == ["above 1,000", "missing"]  # nothing below: not drawn
    assert bars[-2:] == [("above 1,000", 0.0, 0.25), ("missing", 0.0, 0.5)]
    assert bars[0][1:] == (0.1, 0.25)
    assert sum(new for _, _, new in bars) == pytest.approx(1)


def test_few_distinct_values_have_a_bar_each() -> None:
    profile = numeric_profile("flag", np.array([0.0, 0.0, 1.0, 2.0]))
    assert [label for label, _, _ in plots.shares(profile, profile)] == ["0", "1", "2"]


def test_the_ends_of_cells_can_be_told_apart() -> None:
    close = numeric_profile("time", np.linspace(1.7e9, 1.7e9 + 1e5, 1000))
    labels = [label for label, _, _ in plots.shares(close, close)]
    assert len(set(labels)) == len(labels)


def test_categories_are_ranked_and_the_small_ones_joined() -> None:
    profile = categorical_profile("service", words(*[f"s{n}" for n in range(25) for _ in range(n + 1)]))
    current = profile.summarize(words("s0", "s0", "new", None))
    bars = plots.shares(profile, current)
    assert bars[0] == ("s0", pytest.approx(1 / 325), 0.5)
    assert [label for label, _, _ in bars[-3:]] == ["other", "unseen", "missing"]
    assert len(bars) == plots.MOST_CATEGORIES + 3
    assert sum(old for _, old, _ in bars) == pytest.approx(1)
    assert sum(new for _, _, new in bars) == pytest.approx(1)


def test_hostile_names_and_an_empty_batch_can_be_drawn(make: Any) -> None:
    for evil in (*make.hostile, "$x_{1}$ \\frac", "日本語"):
        profile = categorical_profile(evil, words(evil, "b", "b"))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # the font has no emoji: a box is drawn, nothing fails
            size(plots.distribution_plot(evil, profile, profile.empty(), make.finding(evil, detail=evil)))


def test_profiles_of_other_cells_are_refused(duration: Any) -> None:
    other = categorical_profile("duration", words("a"))
    with pytest.raises(ValueError, match="same cells"):
        plots.distribution_plot("duration", duration, other)


def test_the_alternative_text_says_what_the_picture_shows(make: Any) -> None:
    assert plots.alt_text("Flow Duration", make.finding()) == (
        "Distribution of Flow Duration in the baseline and in this batch: "
        "PSI 0.83 · significant drift · median 12 → 88."
    )
