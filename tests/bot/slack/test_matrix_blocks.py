"""What each version knows, old and new: table, terminal and picture of the forgetting matrix."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from bot.matrix_text import matrix_lines, shares
from bot.slack.blocks import without_tables
from bot.slack.matrix_blocks import matrix_message
from trainers.judgement import Cell, compare
from trainers.matrix_plot import in_words, matrix_plot


def cell(holdout: str, *, both: int, lost: int, gained: int, files: tuple[str, ...] = ()) -> Cell:
    """Positive rows that both models, the champion alone, or the challenger alone get right."""
    before = np.repeat([1, 1, 0], [both, lost, gained])
    return compare(holdout, np.ones_like(before), before, np.repeat([1, 0, 1], [both, lost, gained]), files)


@pytest.fixture
def forgetful() -> tuple[Cell, ...]:
    quiet = np.zeros(30, dtype=int)
    return (
        cell("old", both=980, lost=20, gained=0),
        cell("era 0", both=900, lost=0, gained=0, files=("base.csv",)),
        cell("era 1", both=80, lost=20, gained=0, files=("port <scan>.csv",)),
        compare("era 2", quiet, quiet, quiet, ("calm.csv",)),
        cell("new", both=50, lost=0, gained=100, files=("slow.csv",)),
    )


def test_the_matrix_says_what_was_forgotten(make: Any, accepted: Any, shown: Any, forgetful: Any) -> None:
    drawn = shown(accepted(matrix_message(make.retrain(), make.outcome("keep", matrix=forgetful))))
    lines = drawn.splitlines()
    assert lines[0] == (
        "*What each version knows, old and new.* *Significantly worse than version 4* on old, all, era 1."
    )
    assert lines[1] == "Hold-out | Accuracy | Recall | Accuracy differs?"
    by_head = {line.split(" | ")[0]: line.split(" | ")[1:] for line in lines[2:7]}
    assert by_head["Era 1, 100 rows"][0].startswith("100.0 % → 80.0 %, −20.0 (−")
    assert by_head["Era 1, 100 rows"][2] == "worse (p < 0.001)"
    assert by_head["Era 0, 900 rows"][2] == "no significant difference (p 1)"
    assert by_head["Era 2, 30 rows"][1] == "n/a"  # no attack among them: no recall
    assert by_head["New, 150 rows"][2] == "better (p < 0.001)"
    assert "Era 1: `port &lt;scan&gt;.csv`" in drawn
    assert "The last column is McNemar's exact test." in drawn


def test_it_says_that_groups_were_tested(make: Any, accepted: Any, shown: Any) -> None:
    ones, host = np.ones(60, dtype=int), np.arange(60) // 10
    alone = compare("new", ones, 0 * ones, ones, groups=host)
    drawn = shown(accepted(matrix_message(make.retrain(), make.outcome("promote", matrix=(alone,)))))
    assert "better (p 0.031)" in drawn  # all of 6 groups: 2 / 2^6
    assert "The last column is a sign-flip test over whole groups" in drawn


def test_attacks_that_are_forgotten_while_accuracy_gains_are_named(
    make: Any, accepted: Any, shown: Any
) -> None:
    """60 of 100 attacks are missed for 160 false alarms fewer."""
    truth = np.repeat([1, 0], [100, 1900])
    before, after = truth.copy(), truth.copy()
    before[100:260], after[:60] = 1, 0
    cells = (compare("era 1", truth, before, after),)
    drawn = shown(accepted(matrix_message(make.retrain(), make.outcome("keep", matrix=cells))))
    assert "*Significantly worse than version 4* on era 1 (recall)." in drawn


def test_numbers_are_whole_where_tables_are_refused(make: Any, accepted: Any, forgetful: Any) -> None:
    message = without_tables(matrix_message(make.retrain(), make.outcome("keep", matrix=forgetful)))
    (table,) = [b["text"]["text"] for b in accepted(message).blocks if "```" in str(b)]
    for one in forgetful:
        assert shares(one, "accuracy") in table
        assert shares(one, "recall") in table


def test_where_nothing_is_worse_that_is_said(make: Any, accepted: Any, shown: Any, forgetful: Any) -> None:
    message = matrix_message(make.retrain(), make.outcome(matrix=(forgetful[1], forgetful[-1])))
    assert "On no hold-out is version 5 significantly worse than version 4." in shown(accepted(message))


def test_hundreds_of_eras_and_hostile_names_are_taken(make: Any, accepted: Any) -> None:
    cells = tuple(
        cell(f"era {n}", both=9, lost=1, gained=0, files=(evil,) * 9)
        for n, evil in enumerate(make.hostile * 40)
    )
    message = accepted(matrix_message(make.retrain(), make.outcome(matrix=cells)))
    assert "more hold-outs in the MLflow run" in str(message.blocks)
    width, height = struct.unpack(">II", matrix_plot(cells, "v4", "v5")[16:24])
    assert (width, height < 3000) == (1200, True)  # the newest eras; a phone shows no more


def test_the_terminal_and_screen_readers_get_the_same(forgetful: Any) -> None:
    lines = matrix_lines(forgetful)
    assert lines[0].split() == ["hold-out", "rows", "accuracy", "recall", "accuracy", "differs?"]
    assert lines[3].startswith("Era 1     100    100.0 % → 80.0 %, −20.0 (−")
    assert lines[-1] == "era 2: calm.csv"
    said = in_words(forgetful, "v4", "v5")
    assert "Era 1: recall 100.0 % and 80.0 %" in said
    assert "Era 2: accuracy 100.0 % and 100.0 %" in said


def test_the_picture_is_wide_enough_for_a_phone(forgetful: Any) -> None:
    png = matrix_plot(forgetful, "v4", "v5")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">I", png[16:20]) == (1200,)
