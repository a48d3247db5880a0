"""The shadow period by clicks: the challenger scores the next batches, its message is edited, somebody decides."""

from __future__ import annotations

from bot.slack import ids
from bot.workspace import Person, Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ANNA,
    CHANNEL,
    MODEL,
    PATIENCE,
    Json,
    Site,
    alert,
    ask,
    configuration,
    open_form,
    sees,
    thread,
    with_action,
)


def said(person: Person, text: str) -> Json:
    """The one message of the thread that says this, once it is there."""

    def found(person: Person) -> list[Json]:
        return [message for message in thread(person) if text in str(message)]

    (message,) = person.wait_for(found, 2 * PATIENCE)
    return message


def comes(site: Site, name: str) -> None:
    """A batch comes and is checked and told."""
    site.until(
        lambda: any(p.path.endswith(name) for p in site.app.store.history(MODEL)), f"{name} is not checked"
    )
    site.settled()


def test_the_next_batches_are_scored_by_both_before_somebody_promotes(
    embedded: Workspace, new_site: NewSite
) -> None:
    site = new_site(embedded, configuration(model={"shadow_batches": 3}))
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    anna.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
    open_form(anna)
    assert anna.submit() == {}
    result = said(anna, "*Shadow period:* version 2 scores the next 3 batches too")
    assert with_action([result], ids.RETRAIN_PROMOTE), "you may decide before that"
    site.settled()
    before = len(thread(anna))

    comes(site, site.drop(site.files.stable(1)))
    first = said(anna, "*Shadow, 1 of 3 batches:*")
    assert "of 900 rows" in str(first)
    assert len(thread(anna)) == before + 1
    site.restart()
    comes(site, site.drop(site.files.drifted(2)))
    second = said(anna, "*Shadow, 2 of 3 batches:*")
    assert second["ts"] == first["ts"], "it is edited"
    assert "Shadow: version 2 beside version 1, 2 of 3 batches" in ask(anna, "status")

    comes(site, site.drop(site.files.drifted(3)))
    assert "Shadow: version 2 beside version 1, all 3 batches" in str(alert(anna)["blocks"])
    end = said(anna, "*Next step: promote version 2 or keep version 1;*")
    assert "drifted_3.csv" in str(end)
    assert said(anna, "*Shadow, all 3 batches:*")["ts"] == first["ts"]
    assert [m["ts"] for m in thread(anna) if "only version 2 calls positive" in str(m)] == [end["ts"]]
    result = said(anna, "*The shadow period is complete:* what came of it stands below.")
    assert with_action([result], ids.RETRAIN_KEEP)
    shadow = site.app.store.last_shadow(MODEL)
    assert shadow is not None
    assert shadow.found is not None
    more = shadow.found.positive(champion=False, challenger=True)
    assert more > shadow.found.positive(champion=True, challenger=False), "version 2 knows the new attacks"

    anna.click(CHANNEL, result["ts"], ids.RETRAIN_PROMOTE)
    sees(anna, "*Version 2 is in use.*")
    site.settled()
    assert "Next step" not in str([m for m in thread(anna) if m["ts"] == end["ts"]])
    comes(site, site.drop(site.files.stable(2)))
    after = site.app.store.last_shadow(MODEL)
    assert after is not None
    assert len(after.batches) == 3
