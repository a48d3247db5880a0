"""A retrain in its thread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.slack import retrain_blocks as said


def test_a_finished_retrain_in_full(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(said.retrain_finished(make.retrain(), make.outcome(duplicates=1, conflicts=2)))
    assert shown(message) == (
        "# 🟢 fraud: version 5 is trained\n"
        "*Recommendation: promote version 5.* You decide.\n"
        "• Recall on the new hold-out is 97.0 %; at least 85.0 % is asked.\n"
        "Metric | Old hold-out, 1,000 rows | New hold-out, 150 rows\n"
        "Accuracy | 99.0 % → 99.0 % (±0.0) | 99.0 % → 99.0 % (±0.0)\n"
        "Precision | 97.0 % → 97.0 % (±0.0) | n/a → 90.0 %\n"
        "Recall | 98.4 % → 98.0 % (−0.4) | n/a → 97.0 %\n"
        "F1 | 97.5 % → 97.5 % (±0.0) | 97.5 % → 97.5 % (±0.0)\n"
        "False positive rate | 1.0 % → 1.0 % (±0.0) | 1.0 % → 1.0 % (±0.0)\n"
        "False negative rate | 1.6 % → 2.0 % (+0.4) | n/a → 3.0 %\n"
        "ROC AUC | 0.995 → 0.995 (±0.000) | n/a → n/a\n"
        "~ Each cell: version 4 → version 5, and the difference in percentage points (ROC AUC: from 0 to 1).\n"
        "~ <http://127.0.0.1:5000/#/experiments/1/runs/r1|MLflow run> · trainer hist_gradient_boosting"
        " · 1 duplicate row dropped · 2 rows with the same values but another label\n"
        "[Promote version 5 (primary)] [Keep version 4]\n"
    )
    assert "Recall on the old hold-out: 98.4 % → 98.0 % (−0.4)." in message.text


def test_promoting_against_the_gate_is_a_danger_that_asks(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(said.retrain_finished(make.retrain(), make.outcome("keep")))
    assert "[Promote version 5 (danger) ?] [Keep version 4]" in shown(message)
    assert "*Recommendation: keep version 4.*" in shown(message)
    assert shown(message).startswith("# 🟠")


@pytest.mark.parametrize("state", ["promoted", "kept", "rolled_back"])
def test_after_the_decision_the_buttons_are_gone(
    make: Any, accepted: Any, shown: Any, pressed: Any, state: str
) -> None:
    retrain = make.retrain(state)
    message = accepted(said.retrain_finished(retrain, retrain.outcome))
    assert pressed(message) == []
    assert "by <@U0BENO>, 2025-05-01 11:00 UTC" in shown(message)


def test_the_start_says_who_and_what(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(
        said.retrain_started(make.retrain("running", forced=True, why="new <scan>"), ("Reading", "Training"))
    )
    assert shown(message) == (
        "*Retrain started.* Approved by <@U0ANNA> at 10:02 UTC, before the cool-down was over.\n"
        "Training data: everything version 4 learned from, and 1 new file (500 rows): `scan.csv`.\n"
        "Reason given: new &lt;scan&gt;\n"
        "~ Reading\nTraining\n"
        "[Cancel ?]\n"
    )


def test_only_a_retrain_that_is_not_over_can_be_cancelled(make: Any, accepted: Any, pressed: Any) -> None:
    offered = {
        state: pressed(accepted(said.retrain_started(make.retrain(state))))
        for state in ("queued", "running", "succeeded", "failed", "cancelled")
    }
    assert {state for state, buttons in offered.items() if buttons} == {"queued", "running"}
    assert offered["running"] == ["retrain_cancel"]


def test_a_cancelled_retrain_says_by_whom_and_why(make: Any, accepted: Any, shown: Any) -> None:
    cancelled = make.retrain("cancelled", decided_by="U0BENO", error="wrong <file>")
    drawn = shown(accepted(said.retrain_failed(cancelled, cancelled.error)))
    assert drawn.startswith("⚪ *The retrain was cancelled* by <@U0BENO>")
    assert "Version 4 stays in use; nothing was changed." in drawn
    assert "wrong &lt;file&gt;" in drawn
    assert said.outcome_line(cancelled).startswith("The last retrain was cancelled by <@U0BENO>")


def test_a_failed_retrain_says_that_nothing_changed(make: Any, accepted: Any, shown: Any) -> None:
    drawn = shown(accepted(said.retrain_failed(make.retrain("failed"), "Disk full at <x>")))
    assert drawn.startswith(
        "🔴 *The retrain failed.* Version 4 stays in use; nothing was changed.\nDisk full at <x>\n"
    )
    assert "interrupted when the bot stopped" in shown(
        accepted(said.retrain_failed(make.retrain("interrupted"), ""))
    )


def test_a_promotion_can_be_taken_back(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(said.promoted(make.retrain("promoted"), 5, "U0BENO"))
    assert "*Version 5 is in use.* Promoted by <@U0BENO>, 2025-05-01 11:00 UTC." in shown(message)
    button = message.blocks[-1]["elements"][0]
    assert (button["action_id"], button["value"]) == ("retrain_rollback", "2")
    assert button["confirm"]["title"]["text"] == "Roll back to version 4?"


def test_after_a_roll_back_the_promotion_has_no_button(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    message = accepted(said.promoted(make.retrain("rolled_back"), 5, "U0BENO"))
    assert pressed(message) == []
    assert "Version 5 was rolled back by <@U0BENO>" in shown(message)
    assert "Promoted by" not in shown(message)
    back = shown(accepted(said.rolled_back(make.retrain("rolled_back"), 4, "U0BENO")))
    assert "*Version 4 is in use again.* Rolled back by <@U0BENO>" in back


def test_keeping_leaves_the_incident_open_if_there_is_one(make: Any, accepted: Any, shown: Any) -> None:
    assert "the incident stays open" in shown(accepted(said.kept(make.retrain("kept"), "U0BENO")))
    assert "incident" not in shown(accepted(said.kept(make.retrain("kept", incident_id=None), "U0BENO")))


def test_hostile_names_stay_harmless(make: Any, accepted: Any) -> None:
    from trainers.base import DataFile

    for evil in make.hostile:
        files = tuple(DataFile(evil, "aa" * 32, 1) for _ in range(200))
        version = make.version(5, run_url=evil, trainer=evil)
        outcome = make.outcome("keep", reasons=(evil,) * 30, version=version)
        retrain = make.retrain(model=evil, files=files, approved_by=evil, decided_by=evil, outcome=outcome)
        accepted(said.retrain_started(replace(retrain, why=evil), (evil,) * 9))
        accepted(said.retrain_finished(retrain, outcome))
        accepted(said.retrain_failed(retrain, evil * 99))
        accepted(said.promoted(retrain, 5, evil))
        accepted(said.rolled_back(retrain, 4, evil))
        accepted(said.kept(retrain, evil))
