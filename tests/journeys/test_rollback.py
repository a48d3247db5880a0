"""Any earlier version comes back from Slack, with its own baseline, and only from what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bot.slack import ids
from bot.workspace import Person
from tests.journeys.conftest import NewSite
from tests.journeys.stage import ANNA, CHANNEL, MODEL, PATIENCE, VIC, Site, Slack, sees, told


def promoted_twice(site: Site, **second: str) -> None:
    """Versions 2 and 3 came into use; their models are those of version 1, which nothing here asks."""
    store, now = site.app.store, datetime.now(UTC)
    first = store.version(MODEL, 1).record
    for record in (replace(first, version=2, **second), replace(first, version=3)):
        store.add_version(record, now)
        begun = store.begin_promotion(MODEL, record.version, "promote", ANNA.id, now)
        store.finish_promotion(begun.id, now)


def choice(person: Person) -> str:
    """`/drift rollback`, and the answer's ts."""
    before = len(person.ephemerals(CHANNEL))
    person.command(CHANNEL, "/drift", "rollback")
    shown = person.wait_for(lambda p: p.ephemerals(CHANNEL)[before:], PATIENCE)[-1]
    assert f"Version 3 of `{MODEL}` is in use" in str(shown)
    assert [block["accessory"]["text"]["text"] for block in shown["blocks"][1:]] == [
        "Roll back to 2",
        "Roll back to 1",
    ]
    return str(shown["ts"])


def test_an_approver_goes_back_by_two_versions(slack: Slack, new_site: NewSite) -> None:
    site = new_site(slack)
    promoted_twice(site)
    site.start()
    anna, vic = site.person(ANNA), site.person(VIC)
    shown, to_first = choice(anna), f"{MODEL} 1 3"
    vic.click(CHANNEL, choice(vic), ids.VERSION_ROLLBACK, to_first)
    told(vic, "Sorry, you are not an approver")
    assert site.champion() == 3
    anna.click(CHANNEL, shown, ids.VERSION_ROLLBACK, to_first)
    told(anna, f"Version 1 of `{MODEL}` is in use again")
    sees(vic, f"*Version 1 of `{MODEL}` is in use again*, instead of version 3. Rolled back by <@{ANNA.id}>")
    assert site.champion() == 1
    assert site.app.retraining.registry().alias(MODEL, "champion") == 1
    anna.click(CHANNEL, shown, ids.VERSION_ROLLBACK, f"{MODEL} 2 3")
    told(anna, "Another version has come into use since this was shown")
    assert [d.what for d in site.app.store.decisions(MODEL, 3)] == ["roll_back", "refuse", "promote"]


def test_a_baseline_that_was_changed_does_not_come_back(
    slack: Slack, new_site: NewSite, tmp_path: Path
) -> None:
    site, other = new_site(slack), tmp_path / "baseline.npz"
    other.write_bytes(b"somebody else's")
    promoted_twice(site, baseline_path=str(other))
    site.start()
    anna = site.person(ANNA)
    anna.click(CHANNEL, choice(anna), ids.VERSION_ROLLBACK, f"{MODEL} 2 3")
    told(anna, "is not the file that was made with it: nothing was moved")
    assert site.champion() == 3
