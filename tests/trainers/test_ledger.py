from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detectors.baseline import Baseline
from trainers.base import Gate, TrainingError
from trainers.dataset import build
from trainers.expectation import expect
from trainers.mixing import Mix
from trainers.pipeline import retrain, train
from trainers.scoring import champion as asked
from trainers.sklearn_trainers import HistGradientBoosting

FAST = HistGradientBoosting(max_iter=20)


def test_copies_and_contradictions_are_named_by_file_and_row(flows: Any, csv: Any, spec: Any) -> None:
    old = flows(300)
    turned = old.iloc[[4, 9]].assign(
        label=["ddos" if x == "BENIGN" else "BENIGN" for x in old.iloc[[4, 9]]["label"]]
    )
    new = pd.concat([flows(100, seed=1), old.iloc[[7, 2, 8, 5]], turned])
    data = build([csv(old, "old.csv")], [csv(new, "new.csv")], spec)
    assert [str(found) for found in data.ledger] == [
        "new.csv: 4 rows are in old.csv already and were dropped (rows 101 and 8, 102 and 3, 103 and 9, …)",
        "new.csv: 2 rows have the same features as a row in old.csv with another label (rows 105 and 5, 106 and 10)",
    ]
    assert (data.duplicates, data.conflicts) == (4, 2)


def test_each_pair_of_files_is_told_apart(flows: Any, csv: Any, spec: Any) -> None:
    one, two = flows(200), flows(200, seed=2)
    own = flows(50, seed=3)
    clash = own.head(1).assign(label="scan" if own["label"].iloc[0] == "BENIGN" else "BENIGN")
    new = pd.concat([own, one.head(3), two.head(2), clash])
    data = build([csv(one, "one.csv"), csv(two, "two.csv")], [csv(new, "new.csv")], spec)
    told = [(f.kind, f.other, f.rows, f.places, f.other_places) for f in data.ledger]
    assert told == [
        ("copy", "one.csv", 3, (51, 52, 53), (1, 2, 3)),
        ("copy", "two.csv", 2, (54, 55), (1, 2)),
        ("conflict", "new.csv", 2, (1, 56), (56, 1)),
    ]
    assert "in itself" in str(data.ledger[2])


def test_nothing_found_is_nothing_said(flows: Any, csv: Any, spec: Any) -> None:
    assert build([csv(flows(200), "a.csv")], [csv(flows(200, seed=1), "b.csv")], spec).ledger == ()


def hosted(flows: Any, rows: int, seed: int = 0, **more: Any) -> pd.DataFrame:
    hosts = np.random.default_rng(seed).integers(0, 60, rows)
    return flows(rows, seed=seed, **more).assign(host=[f"10.0.0.{n}" for n in hosts])


def test_rows_of_one_group_are_on_one_side_for_ever(flows: Any, csv: Any, spec: Any) -> None:
    grouped = replace(spec, group="host")
    first, later = hosted(flows, 600), hosted(flows, 300, seed=4, kinds=("scan", "BENIGN"))
    data = build([csv(first, "a.csv")], [csv(later, "b.csv")], grouped)
    assert "host" not in data.schema.features
    both = pd.concat([first, later])
    host_of = dict(
        zip(both["bytes"].astype(float).tolist(), both["host"], strict=True)
    )  # bytes tell these rows apart
    sides = {
        side: {host_of[x] for x in part["bytes"]}
        for side, part in (
            ("train", data.train_x),
            ("held", pd.concat([f for f, _ in data.holdouts.values()])),
        )
    }
    assert sides["train"] and sides["held"]
    assert not sides["train"] & sides["held"]
    assert sides["train"] | sides["held"] == set(both["host"])
    assert 0.1 < len(sides["held"]) / 60 < 0.5


def test_a_row_without_a_group_decides_for_itself(flows: Any, csv: Any, spec: Any) -> None:
    frame = hosted(flows, 400).assign(host=None)
    alone, grouped = (
        build([csv(frame, "a.csv")], [], s)
        for s in (replace(spec, ignore=("id", "host")), replace(spec, group="host"))
    )
    pd.testing.assert_frame_equal(alone.train_x, grouped.train_x)


def test_a_file_without_the_group_is_refused(flows: Any, csv: Any, spec: Any) -> None:
    with pytest.raises(
        TrainingError, match=r'b.csv has no column "host", which is to keep related rows on one side'
    ):
        build(
            [csv(hosted(flows, 300), "a.csv")],
            [csv(flows(100, seed=1), "b.csv")],
            replace(spec, group="host"),
        )


def test_sides_are_not_changed_between_retrains(
    flows: Any, csv: Any, spec: Any, registry: Any, home: Any
) -> None:
    grouped, base = replace(spec, group="host"), csv(hosted(flows, 600), "a.csv")
    champion = train("flows", [base], [], grouped, FAST, registry, home, gate=Gate()).version
    assert champion.group == "host"
    assert "host" not in Baseline.load(champion.baseline_path).features
    new = csv(hosted(flows, 300, seed=4, kinds=("scan", "BENIGN")), "b.csv")
    with pytest.raises(TrainingError, match=r'were chosen by "host", the configuration now says row by row'):
        retrain(champion, [new], replace(spec, ignore=("id", "host")), FAST, registry, home, gate=Gate())
    outcome = retrain(champion, [new], grouped, FAST, registry, home, gate=Gate())
    assert outcome.version.group == "host"
    assert [5 < cell.groups < 40 for cell in outcome.matrix] == [True, True]
    assert any("sign-flip test over" in reason for reason in outcome.reasons)
    expected = expect(champion, asked(champion), [new], grouped, FAST).cell
    assert 20 < expected.groups < 60


def test_the_mix_is_what_is_trained_on_and_is_recorded(
    flows: Any, csv: Any, spec: Any, registry: Any, home: Any
) -> None:
    champion = train("flows", [csv(flows(900), "a.csv")], [], spec, FAST, registry, home, gate=Gate()).version
    new = csv(flows(200, ("scan", "BENIGN"), seed=1), "b.csv")
    outcome = retrain(
        champion, [new], spec, FAST, registry, home, gate=Gate(), mix=Mix("capped", old_per_new=1)
    )
    (note,) = [note for note in outcome.notes if note.startswith('mix = "capped": trained on')]
    import mlflow

    run = mlflow.MlflowClient(registry.tracking_uri).get_run(outcome.version.run_id).data
    old, fresh = (int(run.params[f"rows.fitted.era_{era}"]) for era in (0, 1))
    assert run.params["mix"] == "capped"
    assert fresh <= old <= fresh + 2
    assert f"{old:,} of {int(run.params['rows.train']) - fresh:,} of era 0" in note
    whole = retrain(champion, [new], spec, FAST, registry, home, gate=Gate())
    assert [(e.holdout, e.rows) for e in whole.champion] == [(e.holdout, e.rows) for e in outcome.champion]
