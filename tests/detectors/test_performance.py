"""Metrics against scikit-learn and closed forms; predictions files with every kind of mistake."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from detectors.errors import DataError
from detectors.performance import Metrics, Thresholds, breaches, evaluate, read_predictions

labels = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(labels)
def test_metrics_agree_with_scikit_learn(rows):
    truth, guess, prob = (np.array(column) for column in zip(*rows, strict=True))
    got = evaluate(truth, guess, prob)
    assert (got.tn, got.fp, got.fn, got.tp) == tuple(sk.confusion_matrix(truth, guess, labels=[0, 1]).ravel())
    assert got.accuracy == pytest.approx(sk.accuracy_score(truth, guess))
    for name in ("precision", "recall", "f1"):
        expected = getattr(sk, f"{name}_score")(truth, guess, zero_division=np.nan)
        value = getattr(got, name)
        assert np.isnan(expected) if value is None else value == pytest.approx(expected)
    if len(set(truth)) == 2:
        assert got.roc_auc == pytest.approx(sk.roc_auc_score(truth, prob))
        assert got.fpr == pytest.approx(got.fp / (truth == 0).sum())
        assert got.fnr == pytest.approx(1 - got.recall)
    else:
        assert got.roc_auc is None and None in (got.fpr, got.fnr)


def test_undefined_ratios_are_none_not_zero():
    got = evaluate(np.zeros(5), np.zeros(5))
    assert (got.precision, got.recall, got.f1, got.fnr, got.roc_auc) == (None, None, None, None, None)
    assert (got.accuracy, got.fpr, got.tn) == (1.0, 0.0, 5)
    assert breaches(got, Thresholds()) == ()


@pytest.mark.parametrize(("truth", "guess"), [([0, 1], [0]), ([0, 2], [0, 1]), ([[0], [1]], [[0], [1]])])
def test_bad_arrays_are_refused(truth, guess):
    with pytest.raises(ValueError, match="y_true"):
        evaluate(np.array(truth), np.array(guess))


def metrics(**values) -> Metrics:
    plain = {
        "accuracy": 0.99,
        "precision": 0.99,
        "recall": 0.99,
        "f1": 0.99,
        "roc_auc": None,
        "fpr": 0.0,
        "fnr": 0.0,
    }
    return Metrics(rows=1000, tn=0, fp=0, fn=0, tp=0, **(plain | values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"accuracy": 0.871}, "accuracy 0.871 is below 0.9"),
        ({"precision": 0.5}, "precision 0.500 is below 0.85"),
        ({"recall": 0.8499}, "recall 0.8499 is below 0.85"),
        ({"fpr": 0.2}, "false positive rate 0.200 is above 0.1"),
        ({"fnr": 0.06}, "false negative rate 0.060 is above 0.05"),
    ],
)
def test_each_breach_is_a_sentence_with_both_numbers(values, sentence):
    assert breaches(metrics(**values), Thresholds()) == (sentence,)
    assert breaches(metrics(**values), Thresholds(None, None, None, None, None)) == ()


def test_a_metric_at_its_limit_is_no_breach():
    assert breaches(metrics(accuracy=0.90, fpr=0.10, fnr=0.05, recall=0.85), Thresholds()) == ()


def predictions(tmp_path, text: str):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    return path


def test_predictions_are_read(tmp_path):
    path = predictions(tmp_path, " y_true ,y_pred,y_prob,note\n1,0,0.25,x\n0,0,1e-3,y\n")
    y_true, y_pred, y_prob = read_predictions(path)
    assert (y_true.tolist(), y_pred.tolist(), y_prob.tolist()) == ([1, 0], [0, 0], [0.25, 0.001])
    assert read_predictions(predictions(tmp_path, "y_true,y_pred\ntrue,False\n"))[2] is None


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        (["DDoS", "PortScan"], [], [1, 0, 1]),
        ([], ["BENIGN"], [1, 0, 1]),
        (["DDoS", "PortScan"], ["BENIGN"], [1, 0, 1]),
    ],
)
def test_named_labels(tmp_path, positive, negative, expected):
    path = predictions(tmp_path, "y_true,y_pred\nDDoS,DDoS\nBENIGN,BENIGN\nPortScan,BENIGN\n")
    y_true, y_pred, _ = read_predictions(path, positive, negative)
    assert y_true.tolist() == expected and y_pred.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "options", "kind", "message"),
    [
        ("y_true,other\n1,0\n", {}, "columns", 'lacks "y_pred"'),
        ("y_true,y_pred\n1,0\n0,2\n0,1\n", {}, "labels", r'y_pred holds "2" in line 3 \(1 such rows\)'),
        ("y_true,y_pred\n1,0\n,1\n", {}, "labels", "y_true is empty in line 3"),
        (
            "y_true,y_pred\nA,A\nC,A\n",
            {"positive": ["A"], "negative": ["B"]},
            "labels",
            'y_true holds "C" in line 3',
        ),
        ("y_true,y_pred,y_prob\n1,1,0.5\n1,1,1.5\n", {}, "labels", 'y_prob holds "1.5" in line 3'),
        ("y_true,y_pred,y_prob\n1,1,high\n1,1,0.5\n", {}, "labels", 'y_prob holds "high" in line 2'),
        ("y_true,y_pred\n", {}, "no_rows", "no rows"),
    ],
)
def test_mistakes_are_named_with_column_and_line(tmp_path, text, options, kind, message):
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(predictions(tmp_path, text), **options)
    assert caught.value.kind == kind


def test_scores_in_the_place_of_labels_are_refused(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("y_true,y_pred\nBENIGN,0.03\nDDoS,0.97\n")
    with pytest.raises(DataError, match="probabilities belong into y_prob"):
        read_predictions(path, negative=("BENIGN",))


def test_labels_are_read_as_the_trainer_reads_them_whatever_their_case(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("y_true,y_pred\nBenign,BENIGN\nDDoS,ddos\nbenign,DDoS\n")
    y_true, y_pred, _ = read_predictions(path, negative=("BENIGN",))
    assert (y_true.tolist(), y_pred.tolist()) == ([0, 1, 0], [0, 1, 1])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["0", "1", "2", "1"], 'column y_pred holds "2" in line 4'),
        (["BENIGN", "7", "DoS", "BENIGN"], 'column y_pred holds "7" in line 3'),
        (["0.2", "0.9", "0.5", "1"], 'column y_pred holds "0.2" in line 2'),
    ],
)
def test_a_stray_number_among_named_classes_is_not_taken_for_the_other_class(tmp_path, cells, said):
    path = tmp_path / "p.csv"
    pd.DataFrame({"y_true": ["0", "1", "0", "1"], "y_pred": cells}).to_csv(path, index=False)
    with pytest.raises(DataError, match=said):
        read_predictions(path, negative=["BENIGN"])


def test_zero_may_stand_for_what_is_not_the_named_class(tmp_path):
    path = tmp_path / "p.csv"
    pd.DataFrame({"y_true": ["attack", "0", "0"], "y_pred": ["attack", "attack", "0"]}).to_csv(
        path, index=False
    )
    y_true, y_pred, _ = read_predictions(path, positive=["attack"])
    assert (y_true.tolist(), y_pred.tolist()) == ([1, 0, 0], [1, 1, 0])
    with pytest.raises(DataError, match='column y_true holds "0" in line 3'):
        read_predictions(path, negative=["attack"])


def test_a_stray_word_is_shown_as_it_stands(tmp_path):
    path = tmp_path / "p.csv"
    pd.DataFrame({"y_true": ["0"] * 40, "y_pred": ["1"] * 39 + ["worm"]}).to_csv(path, index=False)
    with pytest.raises(DataError, match='column y_pred holds "worm" in line 41'):
        read_predictions(path)
