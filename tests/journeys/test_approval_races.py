"""Whoever approves, however often and at whatever moment: one retrain, or a refusal that the person sees."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from bot.slack import ids
from bot.workspace import Person, UserGroup, Workspace, WorkspaceError
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ADAM,
    ANNA,
    CHANNEL,
    CHANNELS,
    MODEL,
    PATIENCE,
    PEOPLE,
    VIC,
    Site,
    Slack,
    Template,
    alert,
    configuration,
    not_started,
    open_form,
    sees,
    thread,
    told,
    with_action,
)


@pytest.fixture
def drifted(new_site: NewSite) -> Callable[[Slack], Site]:
    """A running bot whose alert waits for an approval, with labelled rows at hand."""

    def make(slack: Slack) -> Site:
        site = new_site(slack)
        site.bring_labels()
        site.drop(site.files.drifted(1))
        site.start()
        alert(site.person(ANNA))
        site.settled()
        return site

    return make


def at_once(*steps: Callable[[], object]) -> list[object]:
    """Run the steps in threads that begin together; what each returned, or the error it ended with."""
    together = threading.Barrier(len(steps))
    results: list[object] = [None] * len(steps)

    def run(number: int, step: Callable[[], object]) -> None:
        together.wait()
        try:
            results[number] = step()
        except WorkspaceError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(steps)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    return results


def approved_once(site: Site, by: Sequence[str]) -> str:
    """Exactly one retrain, and the alert says whose it is."""
    anna = site.person(ANNA)
    (retrain,) = site.retrains()
    assert retrain.approved_by in by
    anna.wait_for(lambda p: f"Approved by <@{retrain.approved_by}>" in str(alert(p)["blocks"]), PATIENCE)
    assert with_action([alert(anna)], ids.INCIDENT_APPROVE) is None
    sees(anna, "*Retrain started.*")
    assert [d.who for d in site.app.store.decisions(MODEL) if d.what == "approve"] == [retrain.approved_by]
    return retrain.approved_by


def test_somebody_who_is_no_approver(slack: Slack, drifted: Callable[[Slack], Site]) -> None:
    site = drifted(slack)
    vic = site.person(VIC)
    said = alert(vic)
    for action in (ids.INCIDENT_APPROVE, ids.INCIDENT_CONFIRM, ids.INCIDENT_DISMISS):
        before = len(vic.ephemerals(CHANNEL))
        vic.click(CHANNEL, said["ts"], action)
        vic.wait_for(
            lambda p, n=before: "Sorry, you are not an approver of netflow" in str(p.ephemerals(CHANNEL)[n:]),
            PATIENCE,
        )
    assert vic.open_view() is None
    assert vic.messages(CHANNEL)[0]["blocks"] == said["blocks"]
    assert site.person(ANNA).ephemerals(CHANNEL) == []
    assert site.retrains() == ()
    assert [d.who for d in site.app.store.decisions(MODEL) if d.what == "refuse"] == [VIC.id] * 3
    assert site.app.store.feedback() == ()


def test_the_same_person_submits_twice_at_once(embedded: Workspace, drifted: Callable[[Slack], Site]) -> None:
    """On the embedded workspace only: the other one drops what is submitted again."""
    site = drifted(embedded)
    anna = site.person(ANNA)
    open_form(anna)
    at_once(*[site.person(ANNA).submit] * 4)
    approved_once(site, [ANNA.id])


def test_two_approvers_submit_at_the_same_instant(
    embedded: Workspace, drifted: Callable[[Slack], Site]
) -> None:
    """On the embedded workspace only: the other one has a single stack of modals for everybody."""
    site = drifted(embedded)
    anna, adam = site.person(ANNA), site.person(ADAM)
    open_form(anna)
    open_form(adam)
    at_once(anna.submit, adam.submit)
    winner = approved_once(site, [ANNA.id, ADAM.id])
    loser = adam if winner == ANNA.id else anna
    assert f"Already approved by <@{winner}>" in not_started(loser)


def test_a_form_or_an_alert_that_is_out_of_date(
    embedded: Workspace, drifted: Callable[[Slack], Site]
) -> None:
    site = drifted(embedded)
    anna, adam = site.person(ANNA), site.person(ADAM)
    old = alert(adam)
    open_form(adam)
    open_form(anna)
    assert anna.submit() == {}
    approved_once(site, [ANNA.id])

    assert adam.submit() == {}
    assert f"Already approved by <@{ANNA.id}>" in not_started(adam)
    adam.close_view()
    button = with_action([old], ids.INCIDENT_APPROVE)
    assert button is not None
    for person in (anna, adam):  # a screen that has not seen the edit yet still shows the old button
        press_old_button(site, person, old)
        told(person, f"Already approved by <@{ANNA.id}>")
    assert len(site.retrains()) == 1


def press_old_button(site: Site, person: Person, old: dict[str, object]) -> None:
    """Bring the old message back on the screen for a moment, as a client that lags behind shows it."""
    client = site.bot_client()
    now = alert(person)
    client.chat_update(
        channel=site.channel_id(), ts=now["ts"], text=str(old["text"]), blocks=list_of(old["blocks"])
    )
    person.click(CHANNEL, now["ts"], ids.INCIDENT_APPROVE)


def list_of(blocks: object) -> list[dict[str, object]]:
    assert isinstance(blocks, list)
    return blocks


def test_dismissed_while_the_form_was_open(embedded: Workspace, drifted: Callable[[Slack], Site]) -> None:
    site = drifted(embedded)
    anna, adam = site.person(ANNA), site.person(ADAM)
    open_form(anna)
    adam.click(CHANNEL, alert(adam)["ts"], ids.INCIDENT_DISMISS)
    sees(anna, "dismissed as false alarm")
    assert anna.submit() == {}
    assert f"Already dismissed by <@{ADAM.id}>" in not_started(anna)
    assert site.retrains() == ()


def test_a_labelled_file_went_while_the_form_was_open(
    embedded: Workspace, drifted: Callable[[Slack], Site]
) -> None:
    site = drifted(embedded)
    anna = site.person(ANNA)
    open_form(anna)
    (site.folder / "labeled" / MODEL / site.files.labelled.name).unlink()
    assert anna.submit() == {}
    assert "has changed or gone" in not_started(anna)
    assert site.retrains() == ()


def test_old_buttons_and_an_open_form_after_a_restart(slack: Slack, drifted: Callable[[Slack], Site]) -> None:
    site = drifted(slack)
    anna = site.person(ANNA)
    before = alert(anna)["ts"]
    site.restart()
    assert alert(anna)["ts"] == before
    open_form(anna)
    site.restart()
    assert anna.submit() == {}
    if not site.retrains():  # the new process has not looked at the labelled file yet
        assert "the bot was restarted: open it again" in not_started(anna)
        anna.close_view()
        open_form(anna)
        assert anna.submit() == {}
    approved_once(site, [ANNA.id])


def test_two_people_decide_about_one_result(
    embedded: Workspace, new_site: NewSite, retrained: Template
) -> None:
    """Promoted by one at the moment when the other promotes too: the champion moves once."""
    site = new_site(embedded, template=retrained)
    site.start()
    anna, adam = site.person(ANNA), site.person(ADAM)
    result = anna.wait_for(lambda p: with_action(thread(p), ids.RETRAIN_PROMOTE), PATIENCE) or {}
    at_once(
        lambda: anna.click(CHANNEL, result["ts"], ids.RETRAIN_PROMOTE),
        lambda: adam.click(CHANNEL, result["ts"], ids.RETRAIN_PROMOTE),
    )
    sees(anna, "*Version 2 is in use.*")
    (done,) = site.retrains()
    winner, loser = (ANNA, adam) if done.decided_by == ANNA.id else (ADAM, anna)
    told(loser, f"by <@{winner.id}>")
    assert site.app.store.counters(MODEL)["promotions"] == 1
    assert site.app.registry.alias(MODEL, "champion") == 2


def test_a_group_that_slack_is_slow_to_look_up_costs_no_answer(new_site: NewSite) -> None:
    """Slack waits three seconds for the answer to a form; who is in a group may take longer to say."""
    group = UserGroup("S0APP", "approvers", "Approvers", (ANNA.id,))
    with Workspace(PEOPLE, CHANNELS, groups=[group]) as slack:
        site = new_site(slack, configuration(slack={"approvers": [group.id]}))
        site.bring_labels()
        site.drop(site.files.drifted(1))
        site.start()
        anna, vic = site.person(ANNA), site.person(VIC)
        vic.click(CHANNEL, alert(vic)["ts"], ids.INCIDENT_APPROVE)
        told(vic, "Sorry, you are not an approver of netflow")
        open_form(anna)
        slack.fail_next("usergroups.users.list", 429, retry_after=4)
        assert anna.submit() == {}, "the form is answered in time"
        anna.wait_for(lambda p: (v := p.open_view()) and v["title"]["text"] == "Approved", PATIENCE)
        approved_once(site, [ANNA.id])
