"""The shadow period in its thread, as a reader sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.slack import shadow_blocks as said
from bot.slack.incident_blocks import incident_message
from bot.slack.retrain_blocks import retrain_finished
from bot.slack.status_blocks import model_status
from detectors.disagreement import Disagreement, Place, Said
from detectors.metrics import Interval
from state.records import ByLabels, Shadow, ShadowedBatch
from tests.versions_beside import of_two

PLACE = Place('Protocol = "17"', 480, 40, 4000, 48)
FOUND = of_two(3500, 4, 44, 452, 0.123, 0.131, (PLACE,))


@pytest.fixture
def shadow(make: Any) -> Shadow:
    """Two of three batches: one was scored, one could not be."""
    batches = (
        ShadowedBatch(7, "/in/monday.csv", make.t0, FOUND),
        ShadowedBatch(8, "/in/tuesday.csv", make.t0, None, "version 5 of fraud cannot predict: <no>"),
    )
    return Shadow(2, "fraud", 3, 4, 5, 3, True, batches)


def complete(shadow: Shadow, **changes: Any) -> Shadow:
    more = ShadowedBatch(9, "/in/wednesday.csv", shadow.batches[0].at, FOUND)
    return replace(shadow, batches=(*shadow.batches, more), **changes)


def test_the_progress_in_full(shadow: Shadow, accepted: Any, shown: Any) -> None:
    assert shown(accepted(said.shadow_progress(shadow))) == (
        "*Shadow, 2 of 3 batches:* version 5 beside version 4.\n"
        "• Versions 4 and 5 say the same on 98.8 % of 4,000 rows\n"
        "• 1.1 % only version 5 calls positive, 0.1 % only version 4\n"
        '• Most of it where `Protocol = "17"`: 83.3 % of what differs, 12.0 % of all rows\n'
        "• 1 batch could not be scored by both: version 5 of fraud cannot predict: &lt;no&gt;\n"
        "~ Positive in all: version 4 11.4 %, version 5 12.4 %; mean probability 0.123 and 0.131\n"
        "~ To differ is neither better nor worse: only labels show which version is right.\n"
    )


def test_of_several_classes_the_thread_names_which_became_which(
    shadow: Shadow, accepted: Any, shown: Any
) -> None:
    pairs = [
        ("ok", "ok", 950),
        ("ok", "s<n", 20),
        ("ok", "*x*", 12),
        ("*x*", "ok", 10),
        ("*x*", "s<n", 5),
        ("s<n", "*x*", 3),
    ]
    found = Disagreement(tuple(Said(*pair) for pair in pairs), 0.9, 0.8, several=True)
    by_labels = ByLabels(60, 2, 9, 0.1, Interval(-0.012, 0.21, "MOVER"), 4)
    batches = (replace(shadow.batches[0], found=found, labels=by_labels),)
    drawn = shown(accepted(said.shadow_progress(replace(shadow, batches=batches))))
    assert (
        "• 2.0 % are `ok` to version 4 and `s&lt;n` to version 5, 1.2 % `ok` and `*x*`, 1.0 % `*x*` and `ok`, 0.8 % "
        "otherwise\n" in drawn
    )
    assert (
        "no significant difference: version 5 is right on 10.0 points more of it (95 % interval −1.2 "
        "to 21.0); they differ on 15 of these: only version 5 is right on 9, only version 4 on 2, neither on 4\n"
    ) in drawn
    assert "Mean confidence: version 4 and 5 0.900 and 0.800" in drawn and "ositive" not in drawn


def test_long_names_of_classes_cost_no_pair_its_share(shadow: Shadow, accepted: Any, shown: Any) -> None:
    names = ["_" + letter * 90 + "&_" for letter in "abc"]
    pairs = [Said(names[0], names[0], 900), *(Said(names[0], name, 30) for name in names[1:])]
    found = Disagreement((*pairs, Said(names[2], names[1], 40)), 0.9, 0.8, several=True)
    batches = (replace(shadow.batches[0], found=found),)
    drawn = shown(accepted(said.shadow_progress(replace(shadow, batches=batches))))
    assert "• 4.0 % are `_ccc" in drawn and drawn.count(", 3.0 % `_aaa") == 2


def test_batches_that_are_far_apart_are_not_hidden_by_their_mean(
    shadow: Shadow, accepted: Any, shown: Any
) -> None:
    quiet = of_two(5000, 0, 0, 5000)
    place = replace(PLACE, rows=900, differing=400, among=1000, among_differing=402)
    found = [quiet, of_two(500, 1, 401, 98, places=(place,)), quiet]
    batches = tuple(replace(shadow.batches[0], found=one) for one in found)
    drawn = shown(accepted(said.shadow_complete(replace(shadow, batches=batches))))
    assert "~ By batch 0 % to 40.2 % differs\nPositive in all:" in drawn
    assert "Most of it" not in drawn, "of the one batch in which it stands out it is nearly all"
    batches = tuple(
        replace(batch, found=replace(one, places=tuple(replace(p, rows=480) for p in one.places)))
        for batch, one in zip(batches, found, strict=True)
    )
    drawn = shown(accepted(said.shadow_complete(replace(shadow, batches=batches))))
    assert (
        '• Most of it where `Protocol = "17"`, in 1 of 3 batches: 99.5 % of what differs in these, 48.0 % of their '
        "rows\n"
    ) in drawn


def test_the_end_asks_for_the_decision_and_shows_each_batch(
    shadow: Shadow, accepted: Any, shown: Any
) -> None:
    drawn = shown(accepted(said.shadow_complete(complete(shadow))))
    assert drawn.startswith(
        "*The shadow period is complete:* 3 batches.\n"
        "*Next step: promote version 5 or keep version 4;* the buttons are at the result above.\n"
        "• Versions 4 and 5 say the same on 98.8 % of 8,000 rows\n"
    )
    assert "Batch | Rows | Differ\nmonday.csv | 4,000 | 1.2 %\ntuesday.csv | – | –\n" in drawn
    decided = shown(accepted(said.shadow_complete(complete(shadow, waits=False))))
    assert "Next step" not in decided


def test_the_edited_message_leaves_the_word_to_the_end(shadow: Shadow, accepted: Any, shown: Any) -> None:
    assert shown(accepted(said.shadow_progress(complete(shadow)))) == (
        "*Shadow, all 3 batches:* version 5 beside version 4. What came of it stands below.\n"
    )


def test_one_that_ended_before_its_time_says_so(shadow: Shadow, shown: Any) -> None:
    drawn = shown(said.shadow_progress(replace(shadow, waits=False)))
    assert drawn.startswith("*Shadow, ended after 2 of 3 batches:* version 5 beside version 4.\n")


def test_labels_say_who_was_right_of_each_batch(shadow: Shadow, accepted: Any, shown: Any) -> None:
    one, other = shadow.batches
    first = replace(one, labels=ByLabels(200, 3, 19, -0.031, Interval(-0.05, -0.012, "MOVER")))
    second = replace(other, labels=ByLabels(30, 0, 2, 2 / 30, Interval(2 / 30, 2 / 30, "MOVER")))
    drawn = shown(accepted(said.shadow_progress(replace(shadow, batches=(first, second)))))
    assert (
        "• *By labels:* `monday.csv`: by 200 labelled rows, weighted to stand for the batch, version 4 is right on "
        "3.1 points more of it (95 % interval 1.2 to 5.0); they differ on 22 of these: only "
        "version 5 is right on 19, only version 4 on 3\n"
        "• *By labels:* `tuesday.csv`: by all 30 rows of the batch, version 5 is right on 6.7 points more of them; "
        "they differ on 2 of these: only version 5 is right on 2, only version 4 on 0\n"
    ) in drawn
    alike = replace(one, labels=ByLabels(200, 0, 0, 0.0, Interval(-0.018, 0.018, "MOVER")))
    drawn = shown(said.shadow_progress(replace(shadow, batches=(alike,))))
    assert "no significant difference" in drawn and "; they differ on none of these\n" in drawn


def test_where_nothing_could_be_scored_the_reason_is_all(shadow: Shadow, accepted: Any, shown: Any) -> None:
    drawn = shown(accepted(said.shadow_progress(replace(shadow, batches=shadow.batches[1:]))))
    assert "could not be scored by both" in drawn and "positive" not in drawn


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"batches": ()}, "*Shadow period:* version 5 scores the next 3 batches too; nothing is served from it."),
        ({"batches": (), "wanted": 1}, "version 5 scores the next batch too"),
        ({"wanted": 2}, "*The shadow period is complete:*"),
        ({"waits": False}, "*The shadow period is over:*"),
    ],
)  # fmt: skip
def test_the_result_announces_it_above_its_buttons(
    make: Any, shadow: Shadow, accepted: Any, shown: Any, changes: Any, line: str
) -> None:
    message = accepted(retrain_finished(make.retrain(), make.outcome(), shadow=replace(shadow, **changes)))
    drawn = shown(message).rstrip("\n")
    *_, buttons = drawn.split("\n")
    assert line in drawn and buttons == "[Promote version 5 (primary)] [Keep version 4]"
    decided = retrain_finished(make.retrain("kept"), make.outcome(), shadow=shadow)
    assert "hadow" not in shown(decided)


def test_the_status_has_a_line_of_it(make: Any, shadow: Shadow) -> None:
    line = "Shadow: version 5 beside version 4, 2 of 3 batches, 1.2 % of the rows differ"
    assert line in model_status(make.status(shadow=shadow)).splitlines()


def test_the_incident_says_how_far_it_is_while_the_decision_waits(
    make: Any, shadow: Shadow, accepted: Any, shown: Any
) -> None:
    retrain, line = (
        make.retrain(),
        "Shadow: version 5 beside version 4, 2 of 3 batches, 1.2 % of the rows differ.",
    )
    drawn = shown(
        accepted(
            incident_message(make.incident("decision"), make.batch(), latest_retrain=retrain, shadow=shadow)
        )
    )
    assert line in drawn.splitlines()
    promoted = make.retrain("promoted")
    drawn = shown(
        incident_message(make.incident("resolved"), make.batch(), latest_retrain=promoted, shadow=shadow)
    )
    assert "Shadow" not in drawn


def test_hostile_names_stay_names(make: Any, shadow: Shadow, accepted: Any) -> None:
    for text in make.hostile:
        place = replace(PLACE, name=f"{text} = {text}")
        found = replace(FOUND, places=(place,))
        batches = (
            ShadowedBatch(1, f"/in/{text}", make.t0, found),
            ShadowedBatch(2, text, make.t0, None, text),
        )
        accepted(said.shadow_progress(replace(shadow, batches=batches)))
        accepted(said.shadow_complete(replace(shadow, batches=batches, wanted=2)))
