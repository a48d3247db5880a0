"""Slack, the network or a process fails: nothing is lost, nothing is said twice, and it goes on by itself."""

from __future__ import annotations

import os
import signal

import pytest

from bot.slack import ids
from bot.workspace import Person, Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.faults import FaultProxy
from tests.journeys.stage import (
    ANNA,
    CHANNEL,
    PATIENCE,
    Site,
    Template,
    alert,
    alerts,
    alive,
    ask,
    blocks_of,
    open_form,
    sees,
    thread,
    training_processes,
    with_action,
)

POST, COMPLETE = "chat.postMessage", "files.completeUploadExternal"


def everything_is_said_once(site: Site) -> None:
    """One alert, and in its thread the details and the plots."""
    anna = site.person(ANNA)
    alert(anna)
    site.settled()
    assert len(alerts(anna)) == 1
    replies = thread(anna)
    assert ["*Details*" in str(reply.get("blocks")) for reply in replies].count(True) == 1
    assert sorted(len(reply.get("files", [])) for reply in replies) == [0, 3]


@pytest.mark.parametrize(
    ("method", "status", "times"),
    [(POST, 429, 2), (POST, 500, 1), (COMPLETE, 500, 1), ("upload", 429, 1), ("upload", 500, 1)],
)
def test_slack_refuses_for_a_while(
    embedded: Workspace, new_site: NewSite, method: str, status: int, times: int
) -> None:
    site = new_site(embedded)
    embedded.fail_next(method, status, retry_after=1, times=times)
    site.drop(site.files.drifted(1))
    site.start()
    everything_is_said_once(site)


def test_a_workspace_that_does_not_take_tables(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    embedded.fail_next(POST, 200, error="invalid_blocks")
    site.drop(site.files.drifted(1))
    site.start()
    everything_is_said_once(site)
    said = alert(site.person(ANNA))
    assert not blocks_of(said, "table")
    assert "Fwd Packet Length Max" in str(said["blocks"])
    assert with_action([said], ids.INCIDENT_APPROVE)


@pytest.mark.parametrize(("method", "way"), [(POST, "drop"), (POST, "status"), (COMPLETE, "drop")])
def test_the_answer_gets_lost_but_slack_has_it(
    embedded: Workspace, new_site: NewSite, method: str, way: str
) -> None:
    site = new_site(embedded)
    site.drop(site.files.drifted(1))
    with FaultProxy(embedded.api_url) as proxy:
        if way == "drop":
            proxy.drop_next(method, applied=True)
        else:
            proxy.fail_next(method, 500, applied=True)
        site.api_url = proxy.api_url
        site.start()
        everything_is_said_once(site)
        site.stop()


@pytest.mark.parametrize("reason", [None, "refresh_requested"])
def test_the_connection_is_dropped(embedded: Workspace, new_site: NewSite, reason: str | None) -> None:
    site = new_site(embedded)
    site.start()
    for _ in range(2):
        embedded.drop_connections(reason)
        site.connected()
        assert "version 1 in use" in ask(site.person(ANNA), "status")


def test_slack_is_away_when_the_bot_starts(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    embedded.stop()
    site.drop(site.files.drifted(1))
    bot = site.start(connected=False)
    assert not bot.wait_until_connected(2)
    embedded.start()
    comes_back(site)


def test_a_token_that_slack_does_not_take(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    right, embedded.bot_token = embedded.bot_token, "xoxb-of-another-workspace"
    serve = site.command("serve")
    _, said = serve.communicate(timeout=PATIENCE)
    assert serve.returncode == 2, said
    assert "Slack does not take SLACK_BOT_TOKEN (invalid_auth)" in said
    assert "Traceback" not in said
    embedded.bot_token = right
    site.start()


def test_slack_goes_away_for_a_while(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    site.start()
    embedded.stop()
    site.drop(site.files.drifted(1))
    site.until(lambda: site.app.store.incidents(), "the batch was not checked while Slack was away")
    embedded.start()
    comes_back(site)


def comes_back(site: Site) -> None:
    site.connected()
    anna = site.person(ANNA)
    assert "significant drift" in ask(anna, "status")
    everything_is_said_once(site)
    anna.click(CHANNEL, alert(anna)["ts"], ids.INCIDENT_DISMISS)
    sees(anna, "dismissed as false alarm")


def test_the_bot_is_not_in_the_channel_yet(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    embedded.remove_bot(CHANNEL)
    site.drop(site.files.drifted(1))
    site.start()
    site.until(lambda: site.app.store.incidents(), "the batch was not checked")
    site.until(lambda: refused(embedded), "nothing was tried")
    site.bot_client().conversations_join(channel=site.channel_id())
    everything_is_said_once(site)


def refused(slack: Workspace) -> bool:
    return any(call.method == POST and call.error == "not_in_channel" for call in slack.api_log)


def test_somebody_deletes_the_alert(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    first = alert(anna)["ts"]
    site.settled()
    anna.delete(CHANNEL, first)
    site.drop(site.files.drifted(2))
    again = anna.wait_for(
        lambda p: m if (m := with_action(p.messages(CHANNEL), ids.INCIDENT_DISMISS)) else None, PATIENCE
    )
    assert again is not None
    assert again["ts"] != first
    assert "2 batches since" in str(again["blocks"])
    site.settled()
    assert len(alerts(anna)) == 1
    anna.click(CHANNEL, again["ts"], ids.INCIDENT_DETAILS)
    anna.wait_for(lambda p: "drifted_2.csv" in str(thread(p)), PATIENCE)


def approve(site: Site, anna: Person) -> None:
    open_form(anna)
    assert anna.submit() == {}
    anna.wait_for(lambda p: "Approved by" in str(alert(p)["blocks"]), PATIENCE)


def trainee(site: Site, parent: int) -> int:
    """The training process."""
    return site.until(lambda: training_processes(parent), "no training process was started")[0]


def test_the_training_process_is_killed(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    approve(site, anna)
    child = trainee(site, os.getpid())
    sees(anna, "reading")
    os.kill(child, signal.SIGKILL)
    sees(anna, "*The retrain failed.*")
    sees(anna, "signal 9")
    approve_again(site, anna)


def approve_again(site: Site, anna: Person) -> None:
    """The incident is open, the champion is the old one, there is no cool-down, and the button works."""
    anna.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
    assert site.incident().state == "open"
    assert site.champion() == 1
    approve(site, anna)
    assert len(site.retrains()) == 2
    assert len(alerts(anna)) == 1


def test_the_bot_is_killed_while_it_retrains(embedded: Workspace, new_site: NewSite) -> None:
    site = new_site(embedded)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    anna = site.person(ANNA)
    with site.serving() as serve:
        approve(site, anna)
        child = trainee(site, serve.pid)
        serve.kill()
        serve.wait()
        site.until(lambda: not alive(child), "the training process outlived its bot")
    assert site.retrains()[0].state == "running"
    site.start()
    sees(anna, "*The retrain was interrupted when the bot stopped.*")
    assert site.retrains()[0].state == "interrupted"
    approve_again(site, anna)


def test_the_bot_is_stopped_while_it_retrains(embedded: Workspace, new_site: NewSite) -> None:
    """In order, as by Ctrl-C: what is to be said of it is said at the next start."""
    site = new_site(embedded)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    approve(site, anna)
    child = trainee(site, os.getpid())
    site.stop()
    site.until(lambda: not alive(child), "the training process outlived its bot")
    site.start()
    sees(anna, "bot was stopped while the retrain ran")
    approve_again(site, anna)


def test_a_promotion_that_was_cut_off_is_finished(
    embedded: Workspace, new_site: NewSite, retrained: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead between the intent and the registry: the start ends the move, one way, for alias and baseline."""
    import bot.retraining as retraining

    monkeypatch.setattr(retraining, "IN_HAND", retraining.timedelta(0))
    site = new_site(embedded, template=retrained)
    (done,) = site.retrains()
    site.app.store.begin_promotion("netflow", 2, "promote", ANNA.id, retraining.utc_now(), retrain_id=done.id)
    site.start()
    anna = site.person(ANNA)
    site.until(lambda: site.champion() == 2, "the move was not finished")
    assert site.app.registry.alias("netflow", "champion") == 2
    sees(anna, "*Version 2 is in use.*")
    told_nothing(anna)


def told_nothing(person: Person) -> None:
    assert person.ephemerals(CHANNEL) == []
