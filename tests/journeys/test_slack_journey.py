"""The journeys by clicks, through the real protocols, against two Slacks."""

from __future__ import annotations

import pandas as pd

from bot.slack import ids, modals
from bot.workspace import Person, Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ADAM,
    ANNA,
    CHANNEL,
    DRIFT,
    MODEL,
    NEVER,
    SECOND_CHANNEL,
    SECOND_MODEL,
    STABLE,
    VIC,
    Json,
    Site,
    Slack,
    Template,
    alert,
    alerts,
    ask,
    blocks_of,
    check,
    configuration,
    form,
    open_form,
    sees,
    thread,
    told,
    with_action,
)

PATIENCE = 120.0  # a whole retrain


def test_from_a_drifted_batch_to_the_way_back(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack, configuration(model={"expect_rows": 100_000}))
    site.start()
    anna = site.person(ANNA)

    a_stable_batch_is_quiet(site, anna)
    a_drifted_batch_is_one_alert(site, anna)
    commands_answer(site, anna)
    a_mention_is_answered_in_the_thread(anna)
    without_labels_the_form_says_what_to_do(anna)
    labels_arrive(site, anna)
    a_retrain_is_approved_and_reports(site, anna)
    the_new_version_is_promoted_and_taken_back(site, anna)

    site.settled()
    assert len(alerts(anna)) == 1


def a_stable_batch_is_quiet(site: Site, anna: Person) -> None:
    name = site.drop(site.files.stable(1))
    check(anna, name, STABLE)
    site.settled()
    assert anna.messages(CHANNEL) == []


def a_drifted_batch_is_one_alert(site: Site, anna: Person) -> None:
    site.drop(site.files.drifted(1))
    said = alert(anna)
    assert len(blocks_of(said, "table")) == 1
    for action in (ids.INCIDENT_APPROVE, ids.INCIDENT_SNOOZE, ids.INCIDENT_DISMISS, ids.INCIDENT_DETAILS):
        assert with_action([said], action), action
    site.settled()
    plots, details = sorted(thread(anna), key=lambda reply: len(reply.get("files", [])), reverse=True)
    assert blocks_of(details, "table")
    assert [anna.file(file["id"])[:4] for file in plots["files"]] == [b"\x89PNG"] * 3
    anna.click(CHANNEL, said["ts"], ids.INCIDENT_DETAILS)
    told(anna, "details of the newest batch are in this message")
    assert len(alerts(anna)) == 1


def commands_answer(site: Site, anna: Person) -> None:
    assert "/drift status" in ask(anna, "help")
    status = ask(anna, "status")
    assert "version 1 in use" in status
    assert "significant drift" in status
    history = ask(anna, "history")
    assert "stable_1.csv" in history
    assert "drifted_1.csv" in history
    assert "is no file" in ask(anna, "check missing.csv")
    assert "is no file" in ask(anna, "check ../driftcatcher.toml")
    check(anna, "drifted_1.csv", DRIFT)
    assert site.app.store.counters(MODEL)["batches"] == 2
    assert "do not know" in ask(anna, "dance")
    anna.open_home()
    anna.wait_for(lambda p: MODEL in str(p.home()) and "significant drift" in str(p.home()), PATIENCE)


def a_mention_is_answered_in_the_thread(anna: Person) -> None:
    before = len(thread(anna))
    anna.say(CHANNEL, "@DriftCatcher status", thread_ts=alert(anna)["ts"])
    anna.wait_for(lambda p: "version 1 in use" in str(thread(p)[before:]), PATIENCE)


def without_labels_the_form_says_what_to_do(anna: Person) -> None:
    anna.click(CHANNEL, alert(anna)["ts"], ids.INCIDENT_APPROVE)
    view = anna.wait_for(
        lambda p: v if (v := p.open_view()) and "Nothing to train on" in str(v["title"]) else None, PATIENCE
    )
    assert view is not None
    assert "labeled/netflow/" in str(view["blocks"])
    assert not view.get("submit")
    anna.close_view()


def labels_arrive(site: Site, anna: Person) -> None:
    assert "No labelled rows are waiting" in str(alert(anna)["blocks"])
    site.bring_labels()
    anna.wait_for(lambda p: "1 labelled file waits" in str(alert(p)["blocks"]), PATIENCE)


def a_retrain_is_approved_and_reports(site: Site, anna: Person) -> None:
    view = open_form(anna)
    assert "labelled.csv" in str(view["blocks"])
    assert modals.OVERRIDE_BLOCK not in str(view["blocks"])
    anna.wait_for(lambda p: "With all files: Expected on new data: accuracy" in str(p.open_view()), PATIENCE)
    assert anna.submit({modals.REASON_BLOCK: {modals.REASON_ACTION: "new attacks"}}) == {}
    anna.wait_for(lambda p: f"Approved by <@{ANNA.id}>" in str(alert(p)["blocks"]), PATIENCE)
    assert with_action([alert(anna)], ids.INCIDENT_APPROVE) is None
    sees(anna, "*Retrain started.*")
    result = anna.wait_for(lambda p: with_action(thread(p), ids.RETRAIN_PROMOTE), PATIENCE)
    assert result is not None
    assert blocks_of(result, "table")
    assert with_action([result], ids.RETRAIN_KEEP)
    assert "MLflow run" in str(result["blocks"])
    assert "points of accuracy were expected" in str(result["blocks"])
    sees(anna, "*What each version knows, old and new.*")
    picture = anna.wait_for(lambda p: [r for r in thread(p) if "matrix.png" in str(r.get("files"))], PATIENCE)
    assert picture is not None
    assert anna.file(picture[0]["files"][0]["id"]).startswith(b"\x89PNG")
    assert site.champion() == 1
    approval = next(d for d in site.app.store.decisions(MODEL) if d.what == "approve")
    assert approval.who == ANNA.id
    assert "new attacks" in approval.why


def the_new_version_is_promoted_and_taken_back(site: Site, anna: Person) -> None:
    press(anna, ids.RETRAIN_PROMOTE)
    sees(anna, "*Version 2 is in use.*")
    anna.wait_for(lambda p: "resolved, version 2 is in use" in str(alert(p)["blocks"]), PATIENCE)
    assert with_action(thread(anna), ids.RETRAIN_PROMOTE) is None
    in_use(site, 2)
    check(anna, site.drop(site.files.stable(2)), STABLE)
    batch = site.app.store.last_batch(MODEL)
    assert batch is not None
    assert batch.baseline_version == "2"

    press(anna, ids.RETRAIN_ROLLBACK)
    sees(anna, "*Version 1 is in use again.*")
    anna.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
    assert with_action(thread(anna), ids.RETRAIN_ROLLBACK) is None
    in_use(site, 1)


def press(person: Person, action_id: str) -> None:
    message = person.wait_for(lambda p: with_action(thread(p), action_id), PATIENCE) or {}
    person.click(CHANNEL, message["ts"], action_id)


def in_use(site: Site, version: int) -> None:
    """Alias and baseline have moved together."""
    assert site.app.registry.alias(MODEL, "champion") == version
    champion = site.app.store.champion(MODEL)
    assert champion is not None
    assert champion.record.version == version
    assert f"/v{version}/" in champion.record.baseline_path


def test_kept_and_then_the_retrain_cooldown_holds(
    slack: Slack, new_site: NewSite, retrained: Template
) -> None:
    """The bot starts with a decision to make: everything that was not said yet is said first."""
    site = new_site(slack, template=retrained)
    site.start()
    anna = site.person(ANNA)
    press(anna, ids.RETRAIN_KEEP)
    sees(anna, "*Version 1 stays in use.*")
    anna.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
    in_use(site, 1)

    site.bring_labels()
    for restarted in (False, True):
        if restarted:
            site.restart()
        view = open_form(anna)
        assert modals.OVERRIDE_BLOCK in [b.get("block_id") for b in view["blocks"]]
        errors = anna.submit()
        assert "The cool-down lasts until" in errors[modals.OVERRIDE_BLOCK]
        assert len(site.retrains()) == 1
        if not restarted:
            anna.close_view()

    # the form is still there
    assert anna.submit({modals.OVERRIDE_BLOCK: {modals.OVERRIDE_ACTION: ["override"]}}) == {}
    sees(anna, "before the cool-down was over")
    assert site.retrains()[0].forced
    assert len(site.retrains()) == 2


def test_confirmed_as_true_drift_by_several_and_dismissed_by_another(
    embedded: Workspace, new_site: NewSite
) -> None:
    site = new_site(embedded)
    site.drop(site.files.drifted(1))
    site.start()
    anna, adam = site.person(ANNA), site.person(ADAM)
    said = alert(anna)
    anna.click(CHANNEL, said["ts"], ids.INCIDENT_CONFIRM)
    anna.wait_for(lambda p: f"Confirmed as true drift by <@{ANNA.id}>" in str(alert(p)["blocks"]), PATIENCE)
    anna.click(CHANNEL, said["ts"], ids.INCIDENT_CONFIRM)
    told(anna, "confirmed this as true drift already")
    adam.click(CHANNEL, said["ts"], ids.INCIDENT_CONFIRM)
    both = f"Confirmed as true drift by <@{ANNA.id}>, <@{ADAM.id}>"
    anna.wait_for(lambda p: both in str(alert(p)["blocks"]), PATIENCE)
    store, incident = site.app.store, site.incident()
    assert incident.state == "open"
    assert [(d.what, d.who) for d in store.decisions(MODEL, 2)] == [
        ("true_drift", ADAM.id),
        ("true_drift", ANNA.id),
    ]

    adam.click(CHANNEL, said["ts"], ids.INCIDENT_DISMISS)
    sees(anna, "dismissed as false alarm")
    anna.wait_for(lambda p: both not in str(p.messages(CHANNEL)), PATIENCE)
    assert f"Confirmed as true drift by <@{ANNA.id}>" in str(anna.messages(CHANNEL))
    assert [(f.who, f.verdict) for f in store.feedback_on(incident.id)] == [
        (ANNA.id, "true_drift"),
        (ADAM.id, "false_alarm"),
    ]
    assert len(store.feedback(MODEL)) == 3


def test_dismissed_and_then_the_alert_cooldown_holds_for_this_model(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack, configuration(second=True))
    site.start()
    anna = site.person(ANNA)
    site.drop(site.files.drifted(1))
    anna.click(CHANNEL, alert(anna)["ts"], ids.INCIDENT_DISMISS)
    sees(anna, "dismissed as false alarm")
    sees(anna, f"Dismissed by <@{ANNA.id}>")

    drifts_without_an_alert(site, anna, 2)
    site.drop(site.files.drifted(2), SECOND_MODEL)
    alert(anna, SECOND_CHANNEL)
    site.restart()
    drifts_without_an_alert(site, anna, 3)
    assert "No new alert until" in ask(anna, f"status {MODEL}")

    site.stop()
    site.configure(configuration(model={"alert_cooldown": "1s"}, second=True))
    site.start()
    site.drop(site.files.drifted(4))
    alert(anna)
    assert len(site.app.store.incidents(MODEL)) == 2


def drifts_without_an_alert(site: Site, anna: Person, number: int) -> None:
    before = len(alerts(anna))
    name = site.drop(site.files.drifted(number))
    check(anna, f"{name} {MODEL}", DRIFT)
    batch = site.app.store.last_batch(MODEL)
    assert batch is not None
    assert (batch.path.rsplit("/", 1)[-1], batch.verdict) == (name, "drift")
    # The scheduled scan may have measured it and be about to report it: what it will decide is decided here.
    site.app.monitoring.notify(site.app.config.model(MODEL), batch)
    site.settled()
    assert len(alerts(anna)) == before


def test_a_snooze_outlives_the_incident(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack, configuration(model={"alert_cooldown": "1s"}))
    site.start()
    anna = site.person(ANNA)
    site.drop(site.files.drifted(1))
    said = alert(anna)
    anna.select(CHANNEL, said["ts"], ids.INCIDENT_SNOOZE, f"{site.incident().id}:6h")
    anna.wait_for(lambda p: "Snoozed until" in str(alert(p)["blocks"]), PATIENCE)

    drifts_without_an_alert(site, anna, 2)  # an incident that is open takes the batch in, quietly
    anna.wait_for(lambda p: "2 batches since" in str(alert(p)["blocks"]), PATIENCE)
    anna.click(CHANNEL, said["ts"], ids.INCIDENT_DISMISS)
    sees(anna, "dismissed as false alarm")
    drifts_without_an_alert(site, anna, 3)
    site.restart()
    drifts_without_an_alert(site, anna, 4)
    assert "Snoozed until" in ask(anna, "status")
    assert len(site.app.store.incidents(MODEL)) == 1


def test_check_without_a_file_looks_into_the_inbox(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack, configuration(model={"schedule": NEVER}))
    site.start()
    anna = site.person(ANNA)
    site.drop(site.files.stable(1))
    site.drop(site.files.drifted(1))
    assert "Looking into the inbox" in ask(anna, "check")
    told(anna, STABLE)
    told(anna, DRIFT)
    alert(anna)
    ask(anna, "check")
    told(anna, "no new file in the inbox")
    site.settled()
    assert len(alerts(anna)) == 1


def test_a_retrain_is_asked_for_in_words(slack: Slack, new_site: NewSite) -> None:
    """By command, which opens the form at once, and by mention, which gives the button that opens it."""
    site = new_site(slack)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna, vic = site.person(ANNA), site.person(VIC)
    said = alert(anna)
    assert "not an approver" in ask(vic, "retrain")
    anna.command(CHANNEL, "/drift", "retrain")
    form(anna)
    anna.close_view()

    anna.say(CHANNEL, "@DriftCatcher retrain", thread_ts=said["ts"])
    button = anna.wait_for(lambda p: with_action(thread(p), ids.RETRAIN_OPEN), PATIENCE) or {}
    before = len(vic.ephemerals(CHANNEL))
    vic.click(CHANNEL, button["ts"], ids.RETRAIN_OPEN)
    vic.wait_for(lambda p: "not an approver" in str(p.ephemerals(CHANNEL)[before:]), PATIENCE)
    anna.click(CHANNEL, button["ts"], ids.RETRAIN_OPEN)
    form(anna)
    assert anna.submit() == {}
    anna.wait_for(lambda p: f"Approved by <@{ANNA.id}>" in str(alert(p)["blocks"]), PATIENCE)
    assert [retrain.incident_id for retrain in site.retrains()] == [site.incident().id]


def test_two_models_have_their_own_channels_and_approvers(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack, configuration(second=True))
    for model in (MODEL, SECOND_MODEL):
        site.bring_labels(model)
        site.drop(site.files.drifted(1), model)
    site.start()
    anna, vic = site.person(ANNA), site.person(VIC)
    first, second = alert(anna), alert(anna, SECOND_CHANNEL)
    assert MODEL in first["text"]
    assert SECOND_MODEL in second["text"]

    vic.click(CHANNEL, first["ts"], ids.INCIDENT_APPROVE)
    told(vic, "not an approver of netflow")
    told(vic, f"<@{ANNA.id}>, <@{ADAM.id}>")
    anna.click(SECOND_CHANNEL, second["ts"], ids.INCIDENT_APPROVE)
    told(anna, "not an approver of edgeflow", SECOND_CHANNEL)

    vic.click(SECOND_CHANNEL, second["ts"], ids.INCIDENT_APPROVE)
    form(vic)
    assert vic.submit() == {}
    vic.wait_for(lambda p: f"Approved by <@{VIC.id}>" in str(alert(p, SECOND_CHANNEL)["blocks"]), PATIENCE)
    assert (len(site.retrains(MODEL)), len(site.retrains(SECOND_MODEL))) == (0, 1)
    assert len(alerts(anna)) == 1
    assert "name one: netflow, edgeflow" in ask(anna, "history")
    assert "edgeflow" in ask(anna, f"history {SECOND_MODEL}", SECOND_CHANNEL)


def test_a_broken_feed_is_set_aside_by_a_click_and_comes_back(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack)
    site.start()
    anna = site.person(ANNA)
    site.drop(site.files.drifted(1))
    alert(anna)
    site.settled()

    frame = pd.read_csv(site.files.stable(1))
    frame["Flow Duration"] *= 1000
    frame.to_csv(site.folder / "milliseconds.csv", index=False)
    site.drop(site.folder / "milliseconds.csv")
    sees(anna, "values are 1,000 times what they were: ")
    site.settled()
    assert not with_action(alerts(anna), ids.INCIDENT_APPROVE), "a retrain would learn the fault"
    assert "A retrain cannot be approved now" in str(alert(anna)["blocks"])

    told_once = broken(anna, ids.BATCH_QUARANTINE)
    site.person(VIC).click(CHANNEL, told_once["ts"], ids.BATCH_QUARANTINE)
    told(site.person(VIC), "not an approver")
    anna.click(CHANNEL, told_once["ts"], ids.BATCH_QUARANTINE)
    again = anna.wait_for(lambda p: with_action(p.messages(CHANNEL), ids.BATCH_RELEASE), PATIENCE)
    assert again is not None
    assert again["ts"] == told_once["ts"], "the same message, edited"
    assert site.app.store.in_quarantine(MODEL)
    anna.wait_for(lambda p: with_action(alerts(p), ids.INCIDENT_APPROVE), PATIENCE)

    anna.click(CHANNEL, told_once["ts"], ids.BATCH_RELEASE)
    anna.wait_for(lambda p: with_action(p.messages(CHANNEL), ids.BATCH_QUARANTINE), PATIENCE)
    assert not site.app.store.in_quarantine(MODEL)
    assert {d.what for d in site.app.store.decisions(MODEL, 9)} >= {"quarantine", "release", "refuse"}


def broken(person: Person, action_id: str) -> Json:
    found = with_action(person.messages(CHANNEL), action_id)
    assert found is not None
    return found
