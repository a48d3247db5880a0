"""Replies about one batch: details, checks, errors."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack import ids
from bot.slack.batch_blocks import (
    broken_feed_message,
    check_reply,
    details_reply,
    failed_batch_message,
    failed_batches_message,
    unmeasured_message,
)
from bot.slack.blocks import without_tables


def test_details_hold_every_finding_with_its_numbers(make: Any, accepted: Any, shown: Any) -> None:
    report = make.report(drifted=2, notes=("Columns ignored: id.",), errors=("x: all cells are missing.",))
    drawn = shown(accepted(details_reply(make.batch(report), report)))
    assert drawn.startswith("*Details* of `flows_0501.csv`, 20,000 rows: 2 of 5 features drifted\n")
    assert "feature 1 | median 12 → 88 | PSI 0.90 | 0.85 | < 0.001\n" in drawn
    assert "*Could not be measured*\n• x: all cells are missing.\n" in drawn
    assert "*Notes*\n• Columns ignored: id.\n" in drawn


def test_five_hundred_drifted_features_fit_and_the_rest_is_counted(
    make: Any, accepted: Any, shown: Any
) -> None:
    report = make.report(names=tuple(f"{'long name ' * 9}{n}" for n in range(500)))
    message = accepted(details_reply(make.batch(report), report))
    table = next(block for block in message.blocks if block["type"] == "table")
    hidden = 500 - (len(table["rows"]) - 1)
    assert f"and {hidden} more findings in `driftcatcher check FILE --json`" in shown(message)
    accepted(without_tables(message))


def test_details_of_a_calm_batch_have_no_table(make: Any, accepted: Any, shown: Any) -> None:
    report = make.report(drifted=0)
    assert shown(accepted(details_reply(make.batch(report), report))) == (
        "*Details* of `flows_0501.csv`, 20,000 rows: no single feature drifted\n"
    )


@pytest.mark.parametrize(
    ("verdict", "title", "meaning"),
    [
        ("stable", "🟢 fraud: stable", "Nothing to do."),
        ("warning", "🟠 fraud: moderate drift, 2 of 5 features", "The data has changed a little."),
        ("drift", "🔴 fraud: significant drift, 2 of 5 features", "no longer looks like the data"),
        ("insufficient_data", "⚪ fraud: not enough rows to judge", "About 1,500 rows would do."),
        ("broken_feed", "🟣 fraud: the feed looks broken", "a retrain would learn the fault"),
    ],
)
def test_the_answer_to_check_gives_verdict_and_meaning_and_no_buttons(
    make: Any, accepted: Any, shown: Any, pressed: Any, verdict: str, title: str, meaning: str
) -> None:
    report = make.report(verdict=verdict, recommendation="investigate", rows_needed=1500)
    message = accepted(check_reply(make.batch(report), baseline_rows=1000))
    assert shown(message).startswith(f"# {title}\n")
    assert meaning in shown(message)
    assert message.text.startswith(title)
    assert pressed(message) == []


def test_a_file_that_failed_is_never_called_stable(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    message = accepted(check_reply(make.failed()))
    assert shown(message) == (
        "# 🟠 fraud: a file could not be checked\n"
        "`flows_0501.csv` was *not* checked for drift. Correct the file and put it in the inbox again.\n"
        "The last line is cut off.\n"
        "~ Kind of error: `truncated`. The other files are checked as usual.\n"
    )
    assert pressed(message) == []
    assert "was not checked for drift: The last line is cut off." in message.text


def test_several_failed_files_share_a_message(make: Any, accepted: Any, shown: Any) -> None:
    many = [make.failed(path=f"/in/b{n}.csv") for n in range(30)]
    drawn = shown(accepted(failed_batches_message(many)))
    assert drawn.startswith("# 🟠 fraud: 30 files could not be checked\n")
    assert "• b0.csv: The last line is cut off.\n" in drawn
    assert "• and 10 more\n" in drawn
    assert failed_batches_message(many[:1]) == failed_batch_message(
        "fraud", "/in/b0.csv", "truncated", many[0].error
    )


def test_the_machines_folders_stay_on_the_machine(make: Any, accepted: Any, shown: Any) -> None:
    one = make.failed(path="/srv/in/b.csv", error="/srv/in/b.csv: the last line is cut off")
    for message in (failed_batches_message([one, one]), failed_batches_message([one]), check_reply(one)):
        said = shown(accepted(message)) + message.text
        assert "/srv" not in said
        assert said.count("b.csv: the last line is cut off") >= 1 and "b.csv: b.csv" not in said


def test_an_answer_without_a_details_button_does_not_send_people_to_it(make: Any, shown: Any) -> None:
    many = make.report(features=tuple(make.finding(f"f{n}") for n in range(20)))
    drawn = shown(check_reply(make.batch(many)))
    assert "and 14 more drifted features\n" in drawn


def test_a_broken_feed_is_told_without_a_button_to_train_on_it(
    make: Any, accepted: Any, shown: Any, pressed: Any
) -> None:
    report = make.report(
        verdict="broken_feed", recommendation="investigate", errors=("Column bytes is missing.",)
    )
    message = accepted(broken_feed_message(make.batch(report)))
    assert "*What is wrong*\n• Column bytes is missing.\n" in shown(message)
    assert pressed(message) == [ids.BATCH_QUARANTINE]
    aside = accepted(broken_feed_message(make.batch(report, quarantine="/quarantine/flows_0501.csv")))
    assert pressed(aside) == [ids.BATCH_RELEASE]
    assert "Set aside in quarantine" in shown(aside)
    back = make.failed(error_kind="released", error="released")
    assert pressed(accepted(broken_feed_message(back))) == []


def test_hostile_names_stay_harmless(make: Any, accepted: Any) -> None:
    for evil in make.hostile:
        features = tuple(make.finding(f"{evil}{n}", detail=evil * 3) for n in range(200))
        for verdict in ("drift", "broken_feed"):
            report = make.report(features=features, verdict=verdict, errors=(evil,) * 90, notes=(evil,) * 90)
            batch = make.batch(report, path=evil, model=evil, baseline_version=evil)
            for message in (details_reply(batch, report), check_reply(batch), broken_feed_message(batch)):
                accepted(message)
                accepted(without_tables(message))
        accepted(failed_batch_message(evil, evil, evil, evil * 100))
        accepted(failed_batches_message([make.failed(path=evil, model=evil, error=evil)] * 200))


def test_what_could_not_be_measured_is_named(make: Any, accepted: Any, shown: Any, pressed: Any) -> None:
    report = make.report(
        verdict="insufficient_data", recommendation="investigate", features=(), unmeasured=("bytes",),
        errors=("detector moody failed on 1 feature (\"bytes\"): ValueError: no",),
    )  # fmt: skip
    drawn = shown(accepted(unmeasured_message(make.batch(report))))
    assert drawn.startswith("# 🟠 fraud: could not be measured\n*1 feature could not be measured*")
    assert "`bytes`" in drawn and "detector moody failed" in drawn


def test_a_fault_of_our_own_is_not_blamed_on_the_file(make: Any, shown: Any) -> None:
    ours = make.failed(error_kind="internal", error="MemoryError: ")
    for message in (failed_batches_message([ours]), failed_batches_message([ours, ours])):
        assert "no fault of the file" in shown(message) and "Correct" not in shown(message)
