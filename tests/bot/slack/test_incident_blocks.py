"""The one message of an incident in every state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from bot.slack.incident_blocks import incident_message, snooze_choice

SAMPLE, APPROVE, SNOOZE, CONFIRM, DISMISS, DETAILS = (
    "incident_sample",
    "incident_approve",
    "incident_snooze",
    "incident_confirm",
    "incident_dismiss",
    "incident_details",
)


def test_an_open_drift_without_labels_in_full(make: Any, accepted: Any, shown: Callable[[Any], str]) -> None:
    message = incident_message(
        make.incident(),
        make.batch(make.report(drifted=12, stable=66)),
        champion=make.version(4),
        label_column="Label",
        baseline_rows=110_188,
    )
    features = "\n".join(
        f"feature {n} | median 12 → 88 | {0.9 - 0.001 * (n - 1):.2f} | significant" for n in range(1, 7)
    )
    assert shown(accepted(message)) == (
        "# 🔴 fraud: significant drift, 12 of 78 features\n"
        "*Next step: label some rows of this batch.* Press *Sample rows to label* for some that are worth it. "
        "No labelled rows are waiting yet. "
        "Put a CSV with the label column `Label` into `labeled/fraud/`, then press *Approve retrain*.\n"
        "`flows_0501.csv` · 20,000 rows · checked 2025-05-01 07:02 UTC\n"
        "Compared with the baseline of version 4 (110,188 rows) · overall PSI 0.34\n"
        "Feature | What changed | PSI | Severity\n"
        f"{features}\n"
        "~ and 6 more drifted features in Details\n"
        "[Sample rows to label (primary) ?] [Approve retrain]"
        " <Snooze for 6 hours | Snooze for 24 hours | Snooze for 7 days>"
        " [True drift] [Dismiss as false alarm ?] [Details]\n"
    )


def test_with_labelled_files_the_next_step_is_to_approve(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(incident_message(make.incident(), make.batch(), champion=make.version(4), labelled=2))
    assert "*Next step: approve a retrain.* 2 labelled files wait in `labeled/fraud/`." in shown(message)
    assert "Version 4 stays in use until somebody promotes the new one." in shown(message)
    assert "[Approve retrain (primary)] [Sample rows to label ?] <Snooze" in shown(message)
    assert "approve a retrain" in message.text


def test_a_warning_is_calmer_than_a_drift(make: Any, accepted: Any, shown: Any) -> None:
    report = make.report(verdict="warning", recommendation="investigate")
    message = accepted(incident_message(make.incident(), make.batch(report)))
    assert shown(message).startswith("# 🟠 fraud: moderate drift, 2 of 5 features\n")
    assert "a retrain is not recommended yet" in shown(message)
    assert "(primary)" not in shown(message)


def test_overall_drift_without_a_single_drifted_feature_is_said(make: Any, accepted: Any, shown: Any) -> None:
    report = make.report(drifted=0, names=(), policy="classic", overall_psi=0.27)
    message = accepted(incident_message(make.incident(), make.batch(report)))
    assert shown(message).startswith("# 🔴 fraud: significant drift, overall PSI 0.27\n")


def test_a_snoozed_incident_says_until_when_and_by_whom(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    message = accepted(incident_message(make.incident(), make.batch(), silence=make.silence()))
    assert "*Snoozed until 2025-05-01 13:00 UTC* by <@U0ANNA>." in shown(message)
    assert pressed(message) == [SAMPLE, APPROVE, SNOOZE, CONFIRM, DISMISS, DETAILS]
    snooze = message.blocks[-1]["elements"][2]
    assert [option["value"] for option in snooze["options"]] == ["3:6h", "3:24h", "3:7d", "3:end"]
    assert "| End the snooze>" in shown(message)
    assert "End the snooze" not in shown(incident_message(make.incident(), make.batch()))


@pytest.mark.parametrize(("hours", "said"), [
    (0, "The next batch that drifts opens a new incident."),
    (6, "Batches stay quiet for the alert cool-down (6 hours, counted from this alert)"),
    (1.5, "the alert cool-down (90 minutes, counted"),
    (48, "the alert cool-down (2 days, counted"),
])  # fmt: skip
def test_the_question_before_a_dismissal_tells_the_real_cool_down(
    make: Any, accepted: Any, hours: float, said: str
) -> None:
    cooldown = timedelta(hours=hours)
    message = accepted(incident_message(make.incident(), make.batch(), alert_cooldown=cooldown))
    asked = message.blocks[-1]["elements"][4]["confirm"]["text"]["text"]
    assert said in asked
    assert asked.endswith("opens a new incident.")


def test_a_retrain_cool_down_is_told_beside_the_next_step(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(incident_message(make.incident(), make.batch(), labelled=1, cooling_until=make.t0))
    assert "The last retrain was a short while ago: until 2025-05-01" in shown(message)


@pytest.mark.parametrize(
    ("state", "said"), [("running", "retrain is running"), ("queued", "retrain waits for its turn")]
)
def test_while_a_retrain_runs_nothing_can_be_decided(
    make: Any, accepted: Any, shown: Any, pressed: Any, state: str, said: str
) -> None:
    message = accepted(
        incident_message(make.incident("retraining"), make.batch(), latest_retrain=make.retrain(state))
    )
    assert f"Approved by <@U0ANNA> at 10:02 UTC; {said}." in shown(message)
    assert shown(message).startswith(f"# 🔵 fraud: {said}\n")
    assert pressed(message) == [DETAILS]


def test_a_finished_retrain_shows_both_versions(make: Any, accepted: Any, shown: Any, pressed: Any) -> None:
    message = accepted(
        incident_message(make.incident("decision"), make.batch(), latest_retrain=make.retrain())
    )
    assert "*Next step: promote version 5 or keep version 4; the buttons are in the thread.*" in shown(
        message
    )
    assert "Recall | 98.4 % → 98.0 % (−0.4) | n/a → 97.0 %" in shown(message)
    assert pressed(message) == [DETAILS]


def test_a_resolved_incident_is_visible_without_opening_the_thread(
    make: Any, accepted: Any, shown: Any
) -> None:
    done = make.incident("resolved", closed_by="U0BENO", closed_at=make.t0 + timedelta(hours=4))
    message = accepted(incident_message(done, make.batch(), latest_retrain=make.retrain("promoted")))
    assert shown(message).startswith(
        "# 🟢 fraud: resolved, version 5 is in use\nVersion 5 was promoted by <@U0BENO>, 2025-05-01 11:00 UTC.\n"
    )
    assert "fraud: resolved\nResolved by <@U0BENO>" in shown(accepted(incident_message(done, make.batch())))


def test_a_dismissed_incident_has_no_buttons(make: Any, accepted: Any, shown: Any, pressed: Any) -> None:
    gone = make.incident("dismissed", closed_by="U0BENO", closed_at=make.t0)
    message = accepted(incident_message(gone, make.batch()))
    assert shown(message).startswith(
        "# ⚪ fraud: dismissed as false alarm\nDismissed by <@U0BENO>, 2025-05-01 07:00 UTC. Nothing more to do.\n"
    )
    assert pressed(message) == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "The last retrain failed: Disk full"),
        ("interrupted", "The last retrain was interrupted"),
        ("kept", "Decided by <@U0BENO>"),
        (
            "rolled_back",
            "Version 5 was rolled back by <@U0BENO>, 2025-05-01 11:00 UTC; version 4 is in use again.",
        ),
    ],
)
def test_an_incident_that_is_open_again_says_why(
    make: Any, accepted: Any, shown: Any, state: str, said: str
) -> None:
    message = accepted(incident_message(make.incident(), make.batch(), latest_retrain=make.retrain(state)))
    assert said in shown(message)
    assert shown(message).startswith("# 🔴 fraud: significant drift")


def test_the_retrain_of_another_incident_is_left_out(make: Any, shown: Any) -> None:
    other = make.retrain("failed", incident_id=99)
    assert "failed" not in shown(incident_message(make.incident(), make.batch(), latest_retrain=other))


def test_several_batches_are_counted(make: Any, accepted: Any, shown: Any) -> None:
    message = accepted(incident_message(make.incident(batches=3), make.batch()))
    assert "3 batches since 2025-05-01 07:00 UTC; the newest: `flows_0501.csv` · 20,000 rows" in shown(
        message
    )


def test_another_version_in_use_than_the_batch_was_compared_with_is_said(make: Any, shown: Any) -> None:
    assert "version 6 is in use now" in shown(
        incident_message(make.incident(), make.batch(), champion=make.version(6))
    )
    assert "in use now" not in shown(
        incident_message(make.incident(), make.batch(), champion=make.version(4))
    )


def test_a_broken_feed_cannot_be_trained_on(make: Any, accepted: Any, pressed: Any, shown: Any) -> None:
    report = make.report(
        drifted=0, verdict="broken_feed", recommendation="investigate", errors=("No column x.",)
    )
    assert APPROVE not in pressed(accepted(incident_message(make.incident(), make.batch(report))))
    newer = make.batch(report, path="/data/inbox/newer.csv")
    message = accepted(incident_message(make.incident(), make.batch(), broken=newer))
    assert APPROVE not in pressed(message)
    assert "A retrain cannot be approved now" in shown(message)
    assert "newer.csv" in shown(message)


def test_two_detectors_share_one_line_a_feature(make: Any, accepted: Any, shown: Any) -> None:
    both = (make.finding("f", 0.9), make.finding("f", 0.4, detector="ks", detail=""), make.finding("g", 0.3))
    message = accepted(incident_message(make.incident(), make.batch(make.report(features=both))))
    assert "Feature | What changed | Score | Severity" in shown(message)
    assert "f | median 12 → 88 | PSI 0.90, KS 0.40 | significant\ng | " in shown(message)
    assert "2 of 2 features" in shown(message)


def test_values_carry_ids_only(make: Any) -> None:
    message = incident_message(make.incident(id=41), make.batch())
    sample, approve, snooze, confirm, dismiss, details = message.blocks[-1]["elements"]
    assert [button["value"] for button in (sample, approve, confirm, dismiss, details)] == ["41"] * 5
    assert [snooze_choice(option["value"]) for option in snooze["options"]] == [
        (41, timedelta(hours=6)),
        (41, timedelta(hours=24)),
        (41, timedelta(days=7)),
    ]
    assert snooze_choice("41:end") == (41, None)


@pytest.mark.parametrize("value", ["", "x", "3", "3:1h", ":6h", "-3:6h", "3:6h:6h"])
def test_a_foreign_snooze_value_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="Not a snooze choice"):
        snooze_choice(value)


STATES = ("open", "retraining", "decision", "resolved", "dismissed")
RETRAINS = (
    None,
    "queued",
    "running",
    "succeeded",
    "failed",
    "interrupted",
    "promoted",
    "kept",
    "rolled_back",
)


@pytest.mark.parametrize(("state", "retrain"), list(product(STATES, RETRAINS)))
def test_every_state_is_accepted_with_hostile_names(
    make: Any, accepted: Any, state: str, retrain: str | None
) -> None:
    for evil in make.hostile:
        features = tuple(make.finding(f"{evil}{n}", detail=evil, detector=evil[:9]) for n in range(500))
        report = make.report(features=features, errors=(evil,) * 50, notes=(evil,) * 50)
        outcome = make.outcome(reasons=(evil,) * 20, version=make.version(5, run_url=evil, trainer=evil))
        job = make.retrain(retrain, model=evil, approved_by=evil, error=evil) if retrain else None
        if job and job.outcome:
            job = make.retrain(retrain, outcome=outcome, decided_by=evil)
        accepted(
            incident_message(
                make.incident(state, model=evil, closed_by=evil, closed_at=make.t0, batches=9),
                make.batch(report, path=f"/in/{evil}.csv", model=evil),
                champion=make.version(9, model=evil),
                latest_retrain=job,
                silence=make.silence(by=evil),
                labelled=1,
                labelled_folder=evil,
                label_column=evil,
                feedback=(make.feedback(who=evil), make.feedback("false_alarm", who=f"{evil}2", why=evil)),
            )
        )


@pytest.mark.parametrize("verdict", ["stable", "warning", "drift", "insufficient_data", "broken_feed"])
@pytest.mark.parametrize("state", STATES)
def test_every_verdict_of_the_newest_batch_can_be_shown(
    make: Any, accepted: Any, state: str, verdict: str
) -> None:
    report = make.report(verdict=verdict, recommendation="none", overall_psi=None)
    accepted(incident_message(make.incident(state), make.batch(report)))
    accepted(incident_message(make.incident(state), make.failed()))


def test_a_snooze_can_be_ended_after_the_dismissal(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    done = make.incident("dismissed", closed_by="U0BENO", closed_at=make.t0)
    message = accepted(incident_message(done, make.batch(), silence=make.silence()))
    assert "No new alert about drift until 2025-05-01 13:00 UTC." in shown(message)
    assert "<End the snooze>" in shown(message)
    assert pressed(message) == [SNOOZE]


def test_an_incident_that_the_bot_closed_says_why(make: Any, accepted: Any, shown: Any) -> None:
    done = make.incident("resolved", closed_by="DriftCatcher", closed_at=make.t0)
    drawn = shown(accepted(incident_message(done, make.batch())))
    assert drawn.startswith("# 🟢 fraud: the drift is over\nThe newest batches look like the baseline again")


def test_who_confirmed_the_drift_and_who_calls_it_false_is_said(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    said = (make.feedback(), make.feedback("false_alarm", who="cli:ben"), make.feedback(who="U0CLEO"))
    message = accepted(incident_message(make.incident(), make.batch(), feedback=said))
    assert (
        "overall PSI 0.34\nConfirmed as true drift by <@U0ANNA>, <@U0CLEO>\nCalled a false alarm by `cli:ben`\n"
    ) in shown(message)
    assert "Confirmed as true drift by <@U0ANNA>" in message.text
    assert CONFIRM in pressed(message), "somebody else may confirm too"
    assert "onfirmed" not in shown(incident_message(make.incident(), make.batch()))


def test_many_opinions_stay_one_line(make: Any, accepted: Any, shown: Any) -> None:
    said = [make.feedback(who=f"U{n:04}") for n in range(400)]
    message = accepted(incident_message(make.incident(), make.batch(), feedback=said))
    assert "<@U0004> and 395 more\n" in shown(message)


def test_a_confirmation_outlives_the_open_state(make: Any, accepted: Any, shown: Any, pressed: Any) -> None:
    for state in ("retraining", "decision", "resolved"):
        message = accepted(incident_message(make.incident(state), make.batch(), feedback=(make.feedback(),)))
        assert "Confirmed as true drift by <@U0ANNA>" in shown(message)
        assert CONFIRM not in pressed(message)


def test_whoever_dismissed_is_not_named_twice(make: Any, accepted: Any, shown: Any) -> None:
    gone = make.incident("dismissed", closed_by="U0BENO", closed_at=make.t0)
    said = (make.feedback("false_alarm", who="U0BENO"), make.feedback())
    drawn = shown(accepted(incident_message(gone, make.batch(), feedback=said)))
    assert drawn.count("U0BENO") == 1
    assert "Confirmed as true drift by <@U0ANNA>" in drawn


def test_the_chart_of_drift_is_linked_once_there_is_one(make: Any, accepted: Any, shown: Any) -> None:
    assert "Drift over time" not in shown(accepted(incident_message(make.incident(), make.batch())))
    url = "http://127.0.0.1:5000/#/experiments/1/runs/ab12"
    linked = accepted(incident_message(make.incident(), make.batch(), chart_url=url))
    assert f"Drift over time: <{url}|MLflow run>" in shown(linked)
