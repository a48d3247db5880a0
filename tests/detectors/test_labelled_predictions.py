"""Predictions and late labels: every row is joined or counted, and what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import DataError
from detectors.labelled_predictions import JoinCounts, Naming, read_labelled

ATTACK = Naming("Label", negative=("BENIGN",))


@pytest.fixture
def file(tmp_path):
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


PREDICTIONS = "id,y_pred,y_prob,country\na1,1,0.9,AT\na2,0,0.1,BE\na3,1,0.8,AT\na4,0,0.2,CH\n"


def test_labels_are_found_by_id_in_any_order_and_several_files(file):
    got = read_labelled(
        [file("p.csv", PREDICTIONS)],
        [file("l1.csv", "id,y_true\na3,0\na1,1\n"), file("l2.csv", "y_true,id\n1,a4\n")],
        id_column="id",
    )
    assert got.columns["id"].tolist() == ["a1", "a3", "a4"]
    assert (got.truth.tolist(), got.predicted.tolist()) == ([1, 0, 1], [1, 1, 0])
    assert got.probability.tolist() == [0.9, 0.8, 0.2]
    assert got.columns["country"].tolist() == ["AT", "AT", "CH"]
    assert got.counts == JoinCounts(4, 3)
    assert got.counts.sentences == ("3 of 4 predictions have labels yet",)


def test_every_row_that_is_not_used_is_counted_and_said(file):
    first = "id,Label\na1,DDoS\na2,\nzz,BENIGN\nzy,DDoS\n,DDoS\n"
    got = read_labelled(
        [file("p.csv", PREDICTIONS + "a4,0,0.2,CH\n,1,0.5,AT\n")],
        [file("l1.csv", first), file("l2.csv", "id,Label\na1,PortScan\n")],
        id_column="id",
        naming=ATTACK,
    )  # fmt: skip
    assert (got.truth.tolist(), got.predicted.tolist()) == ([1], [1])
    assert got.counts == JoinCounts(
        predictions=5, labelled=1, unmatched=2, repeated=1, empty=1, no_id=1,
        repeated_predictions=1, predictions_without_id=1,
    )  # fmt: skip
    assert got.counts.sentences == (
        "1 of 5 predictions have labels yet",
        "1 prediction without an id: no label can be found for it",
        "1 prediction given twice with the same result: counted once",
        "2 labels of ids that no prediction has: not used",
        "1 label given twice with the same value: counted once",
        "1 row of the label files without a label",
        "1 label without an id: not used",
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=40, unique_by=lambda p: p[0]),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["0", "1", ""])), min_size=1, max_size=60),
)  # fmt: skip
def test_the_counts_add_up_to_all_rows(tmp_path_factory, predictions, labels):
    folder = tmp_path_factory.mktemp("join")
    pd.DataFrame(predictions, columns=["id", "y_pred"]).to_csv(folder / "p.csv", index=False)
    pd.DataFrame(labels, columns=["id", "y_true"]).to_csv(folder / "l.csv", index=False)
    known: dict[int, set[str]] = {}
    for key, value in labels:
        if value:
            known.setdefault(key, set()).add(value)
    mine = {key for key, _ in predictions}
    try:
        got = read_labelled([folder / "p.csv"], [folder / "l.csv"], id_column="id")
    except DataError as error:
        conflict = any(len(values) > 1 for values in known.values())
        assert ("conflicting" in error.message) == conflict
        assert conflict or not mine & set(known)
        return
    counts = got.counts
    assert counts.predictions == len(predictions)
    assert counts.labelled == len(got.truth) == len(mine & set(known))
    assert counts.labelled + counts.repeated + counts.unmatched + counts.empty == len(labels)
    assert {k: str(v) for k, v in zip(got.columns["id"].astype(int), got.truth, strict=True)} == {
        key: next(iter(known[key])) for key in mine & set(known)
    }


def test_conflicting_labels_are_listed_with_file_and_line(file):
    parts = [
        file("l1.csv", "id,Label\na1,DDoS\na2,BENIGN\n"),
        file("l2.csv", "id,Label\na2,DDoS\na1,BENIGN\n"),
    ]
    with pytest.raises(DataError) as caught:
        read_labelled([file("p.csv", PREDICTIONS)], parts, id_column="id", naming=ATTACK)
    assert caught.value.message == (
        '2 ids in column id with conflicting labels: "a1" (class 1 in l1.csv line 2, class 0 in l2.csv line 3); '
        '"a2" (class 0 in l1.csv line 3, class 1 in l2.csv line 2): correct the label files'
    )


def test_two_predictions_of_one_id_that_differ_are_an_error(file):
    twice = file("p.csv", "id,y_pred\na1,1\na1,0\n")
    with pytest.raises(
        DataError, match=r'1 id in column id with several different predictions: "a1" \(p.csv line 2'
    ):
        read_labelled([twice], [file("l.csv", "id,y_true\na1,1\n")], id_column="id")


def test_ids_keep_their_zeros_and_numbers_are_one_however_they_are_written(file):
    predictions = file("p.csv", "id,y_pred\n007,1\n7,0\n")
    got = read_labelled([predictions], [file("l.csv", "id,y_true\n007,0\n")], id_column="id")
    assert (got.counts.labelled, got.predicted.tolist()) == (1, [1])
    whole = read_labelled(
        [file("q.csv", "id,y_pred\n1,1\n2,0\n")],
        [file("m.csv", "id,y_true\n1.0,1\n2.0,0\n,\n")],
        id_column="id",
    )
    assert (whole.counts.labelled, whole.counts.empty) == (2, 1)


def test_row_order_needs_as_many_labels_as_predictions(file):
    predictions = [file("p1.csv", "y_pred,x\n1,a\n0,b\n"), file("p2.csv", "y_pred,x\n1,c\n")]
    got = read_labelled(predictions, [file("l.csv", "n,y_true\n1,1\n2,\n3,0\n")])
    assert (got.truth.tolist(), got.predicted.tolist(), got.columns["x"].tolist()) == (
        [1, 0],
        [1, 1],
        ["a", "c"],
    )
    assert (got.counts.labelled, got.counts.predictions, got.counts.empty) == (2, 3, 1)
    with pytest.raises(
        DataError, match="3 predictions and 2 labels cannot be matched by the order of rows"
    ) as caught:
        read_labelled(predictions, [file("m.csv", "y_true\n1\n0\n")])
    assert caught.value.kind == "rows"


def test_row_order_is_not_trusted_where_rows_were_left_out(file):
    rows = [f"{i % 2},x" for i in range(40)]
    rows[7] = "1,x,surplus"
    broken = file("p.csv", "y_pred,x\n" + "\n".join(rows) + "\n")
    labels = file("l.csv", "y_true\n" + "1\n" * 39)
    with pytest.raises(
        DataError, match=r"1 of 40 rows do not have 2 cells and were left out, so rows cannot"
    ):
        read_labelled([broken], [labels])


def test_a_row_that_was_left_out_is_said(file):
    rows = [f"{i % 2},1" for i in range(40)]
    rows[7] = "1,1,surplus"
    got = read_labelled([file("p.csv", "y_true,y_pred\n" + "\n".join(rows) + "\n")])
    assert (got.counts.labelled, len(got.notes)) == (39, 1)
    assert "1 of 40 rows do not have 2 cells and were left out" in got.notes[0]


def test_several_classes_are_folded_where_the_configuration_says_so_and_kept_where_asked(file):
    path = file("p.csv", "y_true,y_pred\nBENIGN,BENIGN\nDDoS,PortScan\nPortScan,BENIGN\n")
    folded = read_labelled([path], naming=ATTACK)
    assert (folded.classes, folded.truth.tolist(), folded.predicted.tolist()) == ((), [0, 1, 1], [0, 1, 0])
    assert "--every-class measures each by itself" in "".join(folded.notes)
    each = read_labelled([path], naming=Naming("Label", negative=("BENIGN",), every_class=True))
    assert each.classes == ("BENIGN", "DDoS", "PortScan")
    assert (each.truth.tolist(), each.predicted.tolist()) == ([0, 1, 2], [0, 2, 0])


def test_classes_that_the_model_predicts_itself_are_no_slips(file):
    sides = Naming("Label", positive=("DDoS",), negative=("BENIGN",))
    several = file("p.csv", "y_true,y_pred,y_prob\nBENIGN,BENIGN,0.1\nDDoS,Web,0.5\nweb,DDoS,0.6\n")
    got = read_labelled([several], naming=sides)
    assert [name.casefold() for name in got.classes] == ["benign", "ddos", "web"]
    assert (got.truth.tolist(), got.predicted.tolist(), got.probability) == ([0, 1, 2], [0, 2, 1], None)
    assert got.notes == (
        "the column y_prob is not used: with more than two classes it is the probability of none of them",
    )
    slip = file("s.csv", "y_true,y_pred\nBENIGN,BENIGN\nDDos2,DDoS\n")
    with pytest.raises(DataError, match='y_true holds "DDos2" in line 3'):
        read_labelled([slip], naming=sides)
    numbers = read_labelled([file("n.csv", "y_true,y_pred\n0,0\n1,2\n2,2\n")], naming=Naming())
    assert numbers.classes == ("0", "1", "2")


def test_classes_with_nothing_in_common_are_refused(file):
    path = file("p.csv", "y_true,y_pred\nBENIGN,0\nDDoS,1\n")
    with pytest.raises(DataError, match="have no class in common"):
        read_labelled([path], naming=Naming(every_class=True))


@pytest.mark.parametrize(
    ("predictions", "labels", "column", "message"),
    [
        ("id,x\n1,2\n", "id,y_true\n1,1\n", "id", 'lacks "y_pred": it has "id", "x"'),
        ("key,y_pred\n1,1\n", "id,y_true\n1,1\n", "id", 'lacks "id": it has "key", "y_pred"'),
        ("id,y_pred\n1,1\n", "key,y_true\n1,1\n", "id", 'lacks "id": it has "key", "y_true"'),
        (
            "id,y_pred\n1,1\n",
            "id,truth\n1,1\n",
            "id",
            'has no labels ("y_true", "Label"): it has "id", "truth"',
        ),
        (
            "id,y_pred\n1,1\n",
            "id,y_true\n2,1\n",
            "id",
            "none of the 1 predictions has a label (1 label of ids that no",
        ),
        ("id,y_pred\n1,\n", "id,y_true\n1,1\n", "id", "y_pred is empty in line 2"),
        ("id,y_pred,y_prob\n1,1,7\n", "id,y_true\n1,1\n", "id", 'y_prob holds "7.0" in line 2'),
    ],
)
def test_mistakes_are_named(file, predictions, labels, column, message):
    with pytest.raises(DataError) as caught:
        read_labelled([file("p.csv", predictions)], [file("l.csv", labels)], id_column=column, naming=ATTACK)
    assert message in caught.value.message


def test_an_id_without_label_files_is_no_join(file):
    with pytest.raises(DataError, match="--labels FILE"):
        read_labelled([file("p.csv", PREDICTIONS)], id_column="id")


def test_predictions_of_which_some_have_probabilities(file):
    parts = [file("p.csv", "y_true,y_pred,y_prob\n1,1,0.5\n"), file("q.csv", "y_true,y_pred\n1,1\n")]
    with pytest.raises(DataError, match=r'q.csv lacks "y_prob", which .*p.csv has'):
        read_labelled(parts)


def test_a_column_of_truth_among_the_predictions_gives_way_to_the_label_files(file):
    path = file("p.csv", "id,y_true,y_pred\n1,0,1\n2,0,1\n")
    got = read_labelled([path], [file("l.csv", "id,y_true\n1,1\n2,1\n")], id_column="id")
    assert got.truth.tolist() == [1, 1]
    assert got.notes == ("the column y_true of the predictions is not used, since label files were given",)


def test_parquet_is_joined_with_csv(tmp_path, file):
    ids = np.arange(10**16, 10**16 + 4)
    pd.DataFrame({"id": ids, "y_pred": [1, 0, 1, 0]}).to_parquet(tmp_path / "p.parquet")
    labels = "id,y_true\n" + "".join(f"{i},1\n" for i in ids[::-1])
    got = read_labelled([tmp_path / "p.parquet"], [file("l.csv", labels)], id_column="id")
    assert got.counts == JoinCounts(4, 4)


KINDS = Naming("Label", classes=("BENIGN", "DDoS", "PortScan"), every_class=True)


def test_of_a_model_of_several_classes_numbers_are_positions_and_its_order_holds(file):
    got = read_labelled(
        [file("p.csv", "id,y_pred\na,0\nb,2\nc,1\nd,2\n")],
        [file("l.csv", "id,Label\na,benign\nb,PortScan\nc,DDoS\nd,Slowloris\n")],
        id_column="id",
        naming=KINDS,
    )
    assert got.classes == ("BENIGN", "DDoS", "PortScan", "Slowloris"), (
        "what the model does not know comes last"
    )
    assert (got.predicted.tolist(), got.truth.tolist()) == ([0, 2, 1, 2], [0, 2, 1, 3])
    assert got.notes == (
        'p.csv: numbers in y_pred are read as positions: "0 BENIGN", "1 DDoS", "2 PortScan"',
    )


def test_names_are_as_good_as_positions(file):
    got = read_labelled([file("p.csv", "y_pred,y_true\nDDOS,ddos\nBenign,PortScan\n")], naming=KINDS)
    assert (got.predicted.tolist(), got.truth.tolist()) == ([1, 0], [1, 2])
    assert got.notes == ()


def test_a_position_that_no_class_has_is_refused(file):
    with pytest.raises(DataError, match=r"column y_pred holds 3 in line 3: .* these are 0 to 2 "):
        read_labelled([file("p.csv", "y_pred,y_true\n1,DDoS\n3,DDoS\n")], naming=KINDS)


def test_classes_that_are_called_by_numbers_are_no_positions(file):
    naming = Naming("Label", classes=("10", "20.0", "0"), every_class=True)
    got = read_labelled([file("p.csv", "y_pred,y_true\n0,0\n20,10\n10.0,10\n")], naming=naming)
    assert got.classes == ("10", "20", "0")
    assert (got.predicted.tolist(), got.truth.tolist()) == ([2, 1, 0], [2, 0, 0])
    assert got.notes == (
        "some classes are called by numbers, so numbers are read as their names and not as positions",
    )


def test_a_position_where_classes_are_called_by_numbers_is_refused(file):
    naming = Naming("Label", classes=("1", "2", "3"), every_class=True)
    with pytest.raises(
        DataError, match=r'holds 0 in line 4, which is none of the classes \("1", "2", "3"\): since'
    ):
        read_labelled([file("p.csv", "y_pred,y_true\n1,2\n2,3\n0,1\n")], naming=naming)


def test_positions_that_mean_one_thing_to_one_version_and_another_to_the_next_are_refused(file):
    unsure = Naming("Label", classes=("BENIGN", "DDoS"), every_class=True, positional=False)
    with pytest.raises(
        DataError, match=r"holds 1 in line 2: .* different orders, .* write the names of the classes"
    ):
        read_labelled([file("p.csv", "y_pred,y_true\n1,DDoS\n")], naming=unsure)
    got = read_labelled([file("n.csv", "y_pred,y_true\nDDoS,DDoS\n")], naming=unsure)
    assert got.predicted.tolist() == [1]
