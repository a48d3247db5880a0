from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detectors.performance import Metrics
from trainers.base import Evaluation, Gate, Schema
from trainers.lineage import DvcRevision, Lineage, Origin, Revision, Source
from trainers.model_card import Card
from trainers.pipeline import retrain, train
from trainers.sklearn_trainers import LogisticRegression


@pytest.fixture
def lineage() -> Lineage:
    return Lineage(
        kind="retrain",
        parent=3,
        project=Revision("c" * 40, dirty=True),
        code="driftcatcher 0.1.0",
        sources=(
            Source("/data/a|b.csv", "1" * 64, 1000, "old", DvcRevision("/data/x.dvc", "ab" * 16)),
            Source("/data/new.csv", "2" * 64, 50, "new"),
        ),
        configuration={
            "label": {"column": "Label", "positive": [], "negative": ["BENIGN"]},
            "gate": {"max_loss_old": 0.01, "min_accuracy": 0.9, "max_fpr": None, "new": "better"},
        },
        environment={},
        rows=735,
        origin=Origin(by="U0ANNA", why="new\nscans"),
        trained_at="2026-11-28T10:00:00+00:00",
    )


def measured(accuracy: float) -> Metrics:
    return Metrics(
        rows=300, accuracy=accuracy, precision=None, recall=0.5, f1=0.5, roc_auc=None, fpr=0.25, fnr=0.5,
        tn=3, fp=1, fn=1, tp=1,
    )  # fmt: skip


def test_the_whole_card(lineage):
    card = Card(
        "flows", "random_forest", lineage, Schema(("rate",), ("proto",), ("<b>",)),
        (Evaluation("old", 300, measured(0.75)), Evaluation("new", 15, measured(1.0))),
        (Evaluation("old", 300, measured(0.8)), Evaluation("new", 15, measured(0.25))),
        "keep", ("accuracy on the old hold-out fell from 0.800 to 0.750",), ("2 rows were in an earlier file",),
    )  # fmt: skip
    assert (
        card.markdown(4)
        == """\
# flows version 4

A binary classifier (random_forest) that predicts column `Label`: 1 for every other value and 0 for BENIGN. Trained \
2026-11-28T10:00:00+00:00 on the data of version 3 and new files. Approved by U0ANNA: new scans.

## Data

| File | Rows | Role | SHA-256 | DVC |
|---|---|---|---|---|
| a\\|b.csv | 1,000 | old | `1111111111111111…` | abababababababababababababababab |
| new.csv | 50 | new | `2222222222222222…` |  |

735 rows were trained on. 3 features (numbers: 1, categories: 2): `rate`, `proto`, `&lt;b>`.

- 2 rows were in an earlier file

## Metrics

| Hold-out | Rows | Model | accuracy | precision | recall | f1 | roc_auc | fpr | fnr |
|---|---|---|---|---|---|---|---|---|---|
| old | 300 | champion, version 3 | 0.8000 |  | 0.5000 | 0.5000 |  | 0.2500 | 0.5000 |
| old | 300 | this version | 0.7500 |  | 0.5000 | 0.5000 |  | 0.2500 | 0.5000 |
| new | 15 | champion, version 3 | 0.2500 |  | 0.5000 | 0.5000 |  | 0.2500 | 0.5000 |
| new | 15 | this version | 1.0000 |  | 0.5000 | 0.5000 |  | 0.2500 | 0.5000 |

## Gate

Recommendation: **keep**. Limits: max_loss_old 0.01, min_accuracy 0.9, new better.

- accuracy on the old hold-out fell from 0.800 to 0.750

## Limits

- The hold-outs are rows of the files above that were never trained on: they say nothing of other data.
- Promotion is a decision of people; this card was written before it.
- The new hold-out has only 15 rows: its numbers are rough.
- Files of the project differed from its commit when it was trained.
"""
    )


def test_a_first_version_has_nothing_to_compare_with_and_says_what_it_breaks(lineage):
    first = replace(lineage, kind="train", parent=None, project=None, origin=Origin(by="cli:ann"))
    card = Card("flows", "t", first, Schema(("rate",)), (Evaluation("old", 300, measured(0.95)),))
    assert "There was no champion to compare with." in card.markdown(1)
    assert "Every limit is kept." in card.markdown(1)
    assert "+00:00. Asked for by cli:ann.\n" in card.markdown(1)
    broken = replace(card, reasons=("recall on the old hold-out is 0.500",)).markdown(1)
    assert "- recall on the old hold-out is 0.500\n" in broken
    assert "Every limit is kept." not in broken


def test_each_version_has_its_card_with_the_run_and_beside_its_baseline(flows, csv, spec, registry, home):
    words = (spec, LogisticRegression(), registry, home)
    first = train("flows", [csv(flows(400), "old.csv")], [], *words, gate=Gate()).version
    scans = csv(flows(200, ("scan", "BENIGN"), seed=1), "scans.csv")
    done = retrain(first, [scans], *words, gate=Gate())
    card = (Path(done.version.baseline_path).parent / "model_card.md").read_text(encoding="utf-8")
    assert card.startswith("# flows version 2\n")
    assert f"Recommendation: **{done.recommendation}**" in card
    assert all(f"- {reason}" in card for reason in done.reasons)
    with registry.session("flows") as (client, _):
        names = [file.path for file in client.list_artifacts(done.version.run_id)]
        described = client.get_model_version("flows", "2").description
    assert [name for name in names if not name.startswith("forgetting_matrix")] == [
        "baseline.npz",
        "lineage.json",
        "model_card.md",
    ]
    assert described == card, "the registry shows it too"
