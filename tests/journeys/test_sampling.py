"""Rows to label in Slack: a click draws them into the thread, labels come back, and the approval form offers them."""

from __future__ import annotations

from io import BytesIO

import pandas as pd

from bot.demo.traffic import LABEL_COLUMN, NEW_MIX, mix
from bot.slack import ids
from bot.workspace import Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import ANNA, CHANNEL, MODEL, VIC, Json, alert, ask, open_form, sees, thread, told

TRUE = mix(NEW_MIX, 700, 201, day=8)[LABEL_COLUMN].tolist()  # of the rows of drifted_1.csv


def files_of(messages: list[Json]) -> list[Json]:
    found = [file for message in messages for file in message.get("files", [])]
    return [file for file in found if file["name"].endswith(".csv")]


def test_rows_are_drawn_by_a_click_labelled_and_offered_for_a_retrain(
    embedded: Workspace, new_site: NewSite
) -> None:
    site = new_site(embedded)
    site.start()
    anna, vic = site.person(ANNA), site.person(VIC)
    site.drop(site.files.drifted(1))
    said = alert(anna)

    vic.click(CHANNEL, said["ts"], ids.INCIDENT_SAMPLE)
    told(vic, "you are not an approver")
    assert not files_of(thread(anna)) and not site.app.store.samples(MODEL)

    anna.click(CHANNEL, said["ts"], ids.INCIDENT_SAMPLE)
    (file,) = anna.wait_for(lambda p: files_of(thread(p)), 60)
    message = next(m for m in thread(anna) if files_of([m]))
    assert f"fill the column `{LABEL_COLUMN}`" in message["text"]
    assert f"`labeled/{MODEL}/`" in message["text"]
    (sample,) = site.app.store.samples(MODEL)
    assert (sample.rows, sample.by, sample.strategy) == (500, ANNA.id, "hybrid")
    content = anna.file(file["id"])
    assert content == site.app.store.sample_file(sample.name)

    anna.click(CHANNEL, said["ts"], ids.INCIDENT_SAMPLE)
    told(anna, "are in this message's thread")
    site.settled()
    assert len(files_of(thread(anna))) == 1

    rows = pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False)
    truth = [TRUE[int(key.rpartition("-")[2]) - 1] for key in rows["dc_row_id"]]
    folder = site.folder / "labeled" / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    rows.assign(**{LABEL_COLUMN: ["", *truth[1:]]}).to_csv(folder / "hasty.csv", index=False)
    rows.assign(**{LABEL_COLUMN: truth}).to_csv(folder / file["name"], index=False)
    form = str(open_form(anna))
    assert file["name"] in form and "500 rows" in form
    assert "hasty.csv" in form and "row 1: no label" in form


def test_rows_are_asked_for_in_words_for_a_file_of_the_inbox_or_the_newest_batch(
    embedded: Workspace, new_site: NewSite
) -> None:
    site = new_site(embedded)
    site.start()
    anna = site.person(ANNA)
    name = site.drop(site.files.drifted(1))
    said = alert(anna)
    anna.command(CHANNEL, "/drift", "sample")
    anna.wait_for(lambda p: files_of(thread(p)), 60)  # the newest batch is that of the incident

    anna.command(CHANNEL, "/drift", f"sample {name}")
    told(anna, f"Drawing rows of {name}")
    anna.wait_for(lambda p: files_of(p.messages(CHANNEL)), 60)
    anna.say(CHANNEL, "@DriftCatcher sample nothing.csv", thread_ts=said["ts"])
    sees(anna, "There is no file")
    assert "you are not an approver" in ask(site.person(VIC), "sample")
    assert len(site.app.store.samples(MODEL)) == 1  # the same draw each time
