"""What a retrain is expected to bring: in the form, in the thread, and against what came."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot.expectation_text import came_line, expectation_line, minutes
from bot.slack import retrain_blocks as said
from bot.slack.actions import _fill_in
from state.records import StateError
from trainers.judgement import Cell, Expectation, compare


def cell(both: int, lost: int, gained: int) -> Cell:
    before = np.repeat([1, 1, 0], [both, lost, gained])
    return compare("new", np.ones_like(before), before, np.repeat([1, 0, 1], [both, lost, gained]))


def expected(both: int = 100, lost: int = 0, gained: int = 100) -> Expectation:
    return Expectation(cell(both, lost, gained), 3, 900, 1500, 130.0)


def test_a_gain_is_told_with_its_interval_and_the_time() -> None:
    found = expected()
    moved = found.cell.differences["accuracy"]
    assert expectation_line(found) == (
        "Expected on new data: accuracy 50.0 % → 100.0 % (+50.0 points, 95 % interval "
        f"+{100 * moved.low:.1f} to +{100 * moved.high:.1f}). Estimated on 200 labelled rows by quick fits, "
        "hold-outs untouched. A retrain takes about 3 minutes."
    )


def test_what_can_be_chance_is_no_promise() -> None:
    assert expectation_line(expected(200, 2, 3)).startswith(
        "No gain on new data can be shown: accuracy 98.5 % →"
    )
    assert "a loss" in expectation_line(expected(180, 20, 0))


def test_the_thread_says_what_was_expected_and_what_came(make: Any, accepted: Any, shown: Any) -> None:
    found = expected()
    started = shown(accepted(said.retrain_started(make.retrain("running"), (), found)))
    assert "~ Expected on new data: accuracy 50.0 % → 100.0 %" in started
    begun = make.retrain().approved_at
    for came, verdict in (
        (cell(50, 0, 50), "as expected"),
        (cell(90, 0, 10), "less than expected"),
        (cell(10, 0, 90), "more than expected"),
    ):
        outcome = make.outcome(matrix=(came,))
        retrain = make.retrain(outcome=outcome, started_at=begun, finished_at=begun + timedelta(seconds=95))
        line = came_line(found, retrain)
        assert f"{verdict}; expected about 3 minutes, took about 2 minutes" in line
        assert line in shown(accepted(said.retrain_finished(retrain, outcome, found)))


def test_of_an_outcome_without_a_matrix_nothing_is_compared(make: Any) -> None:
    assert came_line(expected(), make.retrain()) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "less than a minute"), (60, "about 1 minute"), (200, "about 4 minutes"), (7200, "about 2 hours")],
)
def test_time_in_words(seconds: float, said: str) -> None:
    assert minutes(seconds) == said


def test_the_form_does_not_wait_for_an_estimate_that_broke() -> None:
    """Whatever it was: the form says that none will come."""

    def broken() -> Expectation:
        raise StateError("the state file is in use")

    said_in_form: list[str] = []
    client: Any = SimpleNamespace(views_update=lambda **call: said_in_form.append(call["view"]))
    _fill_in(client, {"id": "V1", "hash": "h"}, lambda expected: expected, broken)
    assert len(said_in_form) == 1 and said_in_form[0].startswith("what it would bring cannot be estimated")
