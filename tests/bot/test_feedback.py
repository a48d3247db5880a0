"""Feedback at the terminal, on a real state file with real batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot import feedback
from tests.bot.conftest import Traffic, Watched

Run = Callable[..., Any]


@pytest.fixture
def alarmed(watched: Watched, traffic: Traffic) -> Watched:
    """A batch that drifted has opened incident 1."""
    watched.drop(traffic.drifted)
    watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [i.id for i in watched.app.store.incidents()] == [1]
    return watched


def test_said_of_an_incident_listed_and_shown_in_slack(alarmed: Watched, run: Run) -> None:
    alarmed.said()
    nothing = run(alarmed.folder, "feedback")
    assert nothing.out.startswith("Nobody has said yet whether an alert was true drift or a false alarm.\n")
    assert "  incident 1  netflow  open, opened " in nothing.out
    assert (
        "(drifted.csv)\nSay it in Slack, or with: driftcatcher feedback 1 true-drift|false-alarm\n"
        in nothing.out
    )

    said = run(alarmed.folder, "feedback", 1, "true-drift", "--why", "port scan")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("incident 1 of netflow: true drift, said by cli:")
    assert alarmed.said() == [("incident", {})], "the message shows it"
    run(alarmed.folder, "feedback", "incident:1", "false-alarm")
    listed = run(alarmed.folder, "feedback").out.splitlines()
    assert len(listed) == 2
    assert "incident 1  false alarm by cli:" in listed[0]
    assert "incident 1  true drift by cli:" in listed[1]
    assert listed[1].endswith(": port scan  [changed since]")
    found = run(alarmed.folder, "feedback", "--json").json
    assert [f["verdict"] for f in found["given"]] == ["false_alarm", "true_drift"]
    assert found["unsaid"] == []


def test_said_of_a_batch_by_its_name_or_number(alarmed: Watched, run: Run) -> None:
    alarmed.said()
    by_name = run(alarmed.folder, "feedback", "drifted.csv", "false-alarm", "--json").json
    assert (by_name["batch_id"], by_name["incident_id"], by_name["verdict"]) == (1, None, "false_alarm")
    by_number = run(alarmed.folder, "feedback", "batch:1", "true-drift", "--model", "netflow")
    assert by_number.out.startswith("batch 1 (drifted.csv): true drift, said by ")
    assert alarmed.said() == []
    (opinion,) = alarmed.app.store.truths("netflow")[1]
    assert opinion.verdict == "true_drift"
    assert run(alarmed.folder, "feedback").out.count("\n") == 2, (
        "an incident whose batch is known is not asked for"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("7", "true-drift"), "there is no incident 7; a batch is named by its file name or as batch:7"),
        (("batch:7", "true-drift"), "there is no batch 7"),
        (("tomorrow.csv", "true-drift"), 'no checked batch is called "tomorrow.csv"'),
        (("drifted.csv", "perhaps"), "'perhaps' is not one of 'true-drift', 'false-alarm'"),
        (("drifted.csv",), 'say what "drifted.csv" was: true-drift or false-alarm'),
        (("--model", "other"), 'no model is called "other"'),
    ],
)
def test_what_cannot_be_followed_is_said_and_nothing_is_kept(
    alarmed: Watched, run: Run, words: tuple[str, ...], said: str
) -> None:
    refused = run(alarmed.folder, "feedback", *words)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert alarmed.app.store.feedback() == ()


def test_a_name_that_two_models_share_asks_for_the_model(alarmed: Watched) -> None:
    store, batch = alarmed.app.store, alarmed.app.store.batch(1)
    assert batch.report is not None
    claim = store.claim_batch("other", "f" * 64, "/in/drifted.csv", "1", "p", batch.claimed_at)
    store.save_report(claim.batch.id, batch.report, b"", batch.claimed_at)
    with pytest.raises(feedback.UnknownSubject, match="checked for netflow, other: say which with --model"):
        feedback.subject_of(store, "drifted.csv")
    assert feedback.subject_of(store, "drifted.csv", "other").batch_id == claim.batch.id
    with pytest.raises(feedback.UnknownSubject, match="incident 1 is of netflow, not of other"):
        feedback.subject_of(store, "1", "other")
    with pytest.raises(feedback.UnknownSubject, match="batch 1 is of netflow, not of other"):
        feedback.subject_of(store, "batch:1", "other")
