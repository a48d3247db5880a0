"""Several classes in the thread: each class's recall of both versions, which one lost most, no rates of two classes."""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from bot.matrix_text import matrix_lines
from bot.slack.matrix_blocks import matrix_message
from bot.slack.performance_blocks import performance_alert
from bot.slack.retrain_blocks import retrain_finished
from detectors.class_metrics import evaluate_classes
from detectors.diagnosis import diagnose
from state.codec import outcome_from_json, outcome_to_json
from trainers.base import Evaluation, RetrainOutcome
from trainers.judgement import compare
from trainers.matrix_plot import in_words, matrix_plot

NAMES = ("BENIGN", "DDoS", "Port <scan>")
TRUTH = {"old": np.repeat([0, 1, 2], [100, 60, 40]), "new": np.repeat([0, 2], [50, 50])}


def said(side: str, lost: int) -> np.ndarray:
    """The truth, but so many port scans are taken for BENIGN."""
    found = TRUTH[side].copy()
    found[np.flatnonzero(found == 2)[:lost]] = 0
    return found


@pytest.fixture
def outcome(make: Any) -> RetrainOutcome:
    """On the old hold-out the new version has forgotten port scans; as it comes back from the state file."""
    models = (
        {"old": said("old", 2), "new": said("new", 20)},
        {"old": said("old", 40), "new": said("new", 0)},
    )
    before, after = (
        tuple(Evaluation(s, len(TRUTH[s]), evaluate_classes(TRUTH[s], m[s], NAMES)) for s in ("old", "new"))
        for m in models
    )
    cells = tuple(
        compare(name, TRUTH[s], models[0][s], models[1][s], (), classes=NAMES)
        for name, s in (("old", "old"), ("era 0", "old"), ("new", "new"))
    )
    made = make.outcome("keep", champion=before, challenger=after, matrix=cells)
    return outcome_from_json(outcome_to_json(made))


def test_the_result_has_the_recall_of_each_class(make: Any, accepted: Any, shown: Any, outcome: Any) -> None:
    message = accepted(retrain_finished(make.retrain(), outcome))
    lines = shown(message).splitlines()
    start = lines.index("Metric | Old hold-out, 200 rows | New hold-out, 100 rows")
    assert lines[start + 1 : start + 8] == [
        "Accuracy | 99.0 % → 80.0 % (−19.0) | 80.0 % → 100.0 % (+20.0)",
        "Macro precision | 99.3 % → 85.7 % (−13.6) | 85.7 % → 100.0 % (+14.3)",
        "Macro recall | 98.3 % → 66.7 % (−31.6) | 80.0 % → 100.0 % (+20.0)",
        "Macro F1 | 98.8 % → 61.1 % (−37.7) | 79.2 % → 100.0 % (+20.8)",
        "Recall of BENIGN | 100.0 % → 100.0 % (±0.0) | 100.0 % → 100.0 % (±0.0)",
        "Recall of DDoS | 100.0 % → 100.0 % (±0.0) | n/a → n/a",
        "Recall of Port <scan> | 95.0 % → 0.0 % (−95.0) | 60.0 % → 100.0 % (+40.0)",
    ]
    assert lines[start + 8].startswith("~ Each cell: ")
    assert "ROC" not in shown(message)
    assert "Macro recall on the old hold-out: 98.3 % → 66.7 % (−31.6)." in message.text


def test_many_classes_fit_into_one_message(make: Any, accepted: Any, shown: Any) -> None:
    names = tuple(f"attack family number {n} of the house" for n in range(255))
    truth = np.repeat(np.arange(255), 3)
    found = (Evaluation("old", len(truth), evaluate_classes(truth, truth, names)),)
    many = make.outcome(champion=found, challenger=found)
    drawn = shown(accepted(retrain_finished(make.retrain(), many)))
    assert " more classes in the MLflow run." in drawn
    cells = (compare("old", truth, truth, np.where(truth < 20, 254, truth), classes=names),)
    accepted(matrix_message(make.retrain(), make.outcome("keep", matrix=cells)))
    assert struct.unpack(">II", matrix_plot(cells, "v4", "v5")[16:24])[1] < 3000


def test_the_matrix_names_the_class_that_lost_most(
    make: Any, accepted: Any, shown: Any, outcome: Any
) -> None:
    lines = shown(accepted(matrix_message(make.retrain(), outcome))).splitlines()
    assert "*Significantly worse than version 4* on old, all, era 0." in lines[0]
    assert lines[1] == "Hold-out | Accuracy | Macro recall | Class that lost most | Accuracy differs?"
    old = lines[2].split(" | ")
    assert (old[0], old[3], old[4]) == (
        "Old, all, 200 rows",
        "Port <scan> 95.0 % → 0.0 %",
        "worse (p < 0.001)",
    )
    assert lines[4].split(" | ")[3] == "none"


def test_a_class_that_is_lost_while_accuracy_gains_is_named(make: Any, accepted: Any, shown: Any) -> None:
    truth = np.repeat([0, 2], [2000, 40])
    before, after = truth.copy(), np.zeros_like(truth)
    before[:100] = 1
    cells = (compare("era 1", truth, before, after, classes=NAMES),)
    drawn = shown(accepted(matrix_message(make.retrain(), make.outcome("keep", matrix=cells))))
    assert "*Significantly worse than version 4* on era 1 (recall of `Port &lt;scan&gt;`)." in drawn


def test_at_a_terminal_each_class_has_its_line(outcome: Any) -> None:
    lines = matrix_lines(outcome.matrix)
    assert lines[0].split("  ")[0] == "hold-out"
    at = next(i for i, line in enumerate(lines) if line.startswith("recall of"))
    assert lines[at].split() == ["recall", "of", "Old,", "all", "Era", "0", "New"]
    assert lines[at + 2].split() == ["DDoS", *["100.0", "%", "→", "100.0", "%"] * 2]
    assert "95.0 % → 0.0 %" in lines[at + 3]


def test_the_picture_says_it_in_words_too(outcome: Any) -> None:
    words = in_words(outcome.matrix, "v4", "v5")
    assert "Old, all: macro recall 98.3 % and 66.7 %, that of Port <scan> 95.0 % and 0.0 %; " in words
    assert matrix_plot(outcome.matrix, "v4", "v5").startswith(b"\x89PNG")


def test_an_evaluation_shows_the_worst_classes_first(make: Any, accepted: Any, shown: Any) -> None:
    metrics = evaluate_classes(TRUTH["old"], said("old", 30), NAMES)
    kept = ("classes", "recall", "support", "confusion")
    case = diagnose("stable", True, labels_needed=900)
    details = {
        "title": case.title, "advice": case.advice, "harm": True, "said": [], "notes": [], "degradation": None,
        "segments": [], "batch": None, "classes": {k: v for k, v in asdict(metrics).items() if k in kept},
    }  # fmt: skip
    record = make.performance(metrics=metrics.numbers, details=details, breaches=(), case=case.case)
    drawn = shown(accepted(performance_alert(record)))
    assert (
        "~ • Class Port &lt;scan&gt;: recall 0.2500 of 40, most often taken for BENIGN (30)\n"
        "• Class BENIGN: recall 1.0000 of 100\n"
    ) in drawn
