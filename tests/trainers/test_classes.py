"""Several classes from files to the gate: nothing is forgotten unseen, a new class is learned, nothing leaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from sklearn.datasets import load_digits, load_wine
from sklearn.metrics import accuracy_score, recall_score

from detectors.baseline import Baseline
from detectors.class_metrics import evaluate_classes
from detectors.metrics import ClassMetrics, Metrics
from detectors.performance import evaluate
from trainers.base import Evaluation, Gate, LabelSpec, ModelVersion, RetrainOutcome, TrainingError
from trainers.calibration import Calibrated
from trainers.dataset import build
from trainers.expectation import expect
from trainers.fingerprint import kept_sides
from trainers.judgement import Expectation, compare
from trainers.mixing import Mix
from trainers.pipeline import _named, _of_eras, retrain, train
from trainers.reproduce import reproduce
from trainers.scoring import champion, predicted
from trainers.search import Searched, Space
from trainers.sklearn_trainers import HistGradientBoosting, LogisticRegression, RandomForest

NAMES = ("zero", "one", "two", "three", "four")
FAST = LogisticRegression()
GATE = Gate()


@dataclass
class Watched:
    """A trainer that remembers which rows it was given; `forgets` is a class that it leaves out."""

    forgets: int | None = None
    name: str = "watched"
    seen: list[pd.DataFrame] = field(default_factory=list)

    def params(self) -> Mapping[str, Any]:
        return FAST.params()

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        self.seen.append(features)
        kept = np.ones(len(labels), dtype=bool) if self.forgets is None else labels != self.forgets
        return FAST.fit(features[kept], labels[kept], categorical)


@pytest.fixture(scope="session")
def digits() -> pd.DataFrame:
    """Handwritten digits 0 to 4 of scikit-learn, named."""
    found = load_digits(n_class=5, as_frame=True)
    frame = found.data.round(0)
    frame["label"] = [NAMES[number] for number in found.target]
    return frame.sample(frac=1, random_state=0)


def spec_of(*names: str) -> LabelSpec:
    return LabelSpec("label", classes=names)


THREE, FOUR = spec_of(*NAMES[:3]), spec_of(*NAMES[:4])


@pytest.fixture
def base(digits, csv) -> Path:
    return csv(digits[digits["label"].isin(NAMES[:3])][:360], "base.csv")


@pytest.fixture
def newer(digits, csv) -> Path:
    """A digit that was not there before, and others of those that were."""
    rest = digits[digits["label"].isin(NAMES[:3])][360:]
    return csv(pd.concat([rest, digits[digits["label"] == "three"]]), "newer.csv")


def later(record: Any, kind: Any) -> Any:
    """As it comes back from the state file."""
    adapter = TypeAdapter(kind)
    return adapter.validate_json(adapter.dump_json(record))


def classes_of(evaluation: Evaluation) -> ClassMetrics:
    assert isinstance(evaluation.metrics, ClassMetrics)
    return evaluation.metrics


@pytest.fixture
def first(base, registry, home) -> ModelVersion:
    return later(train("digits", [base], [], THREE, FAST, registry, home, gate=GATE).version, ModelVersion)


def test_a_version_of_several_classes_knows_them_and_is_measured_by_each(first, base, registry) -> None:
    assert first.classes == NAMES[:3]
    data = build(first.data, (), THREE)
    features, truth = data.holdouts["old"]
    said, sure = predicted(registry.load(first), features, "it", 3)
    (evaluation,) = first.evaluations
    found = classes_of(evaluation)
    assert found.accuracy == pytest.approx(accuracy_score(truth, said), abs=1e-12)
    for name, recall in zip(NAMES, recall_score(truth, said, average=None), strict=False):
        assert found.recall[name] == pytest.approx(recall, abs=1e-12)
    assert ((sure > 1 / 3) & (sure <= 1)).all(), "the confidence of the class that is said"
    again = champion(first)(features)
    assert (again[0] == said).all()
    record = Baseline.load(Path(first.baseline_path)).record
    assert record.classes == NAMES[:3]
    assert record.accuracy == pytest.approx(found.accuracy)
    logged = registry_metrics(registry, first)
    assert logged["old_holdout.challenger.recall/two"] == pytest.approx(found.recall["two"])
    assert logged["old_holdout.challenger.macro_recall"] == pytest.approx(found.macro_recall)


def registry_metrics(registry: Any, version: ModelVersion) -> Mapping[str, float]:
    from mlflow import MlflowClient

    run = MlflowClient(registry.tracking_uri).get_run(version.run_id)
    assert run.data.params["label.classes"] == ", ".join(version.classes)
    return run.data.metrics


def test_a_class_that_is_new_is_learned_and_promoted(first, newer, registry, home) -> None:
    outcome = later(retrain(first, [newer], FOUR, FAST, registry, home, gate=GATE), RetrainOutcome)
    assert outcome.recommendation == "promote", outcome.reasons
    assert outcome.version.classes == NAMES[:4]
    old, new = (classes_of(evaluation) for evaluation in outcome.champion)
    assert old.recall["three"] is None
    assert new.recall["three"] == 0, "the champion cannot know it"
    assert classes_of(outcome.challenger[1]).recall["three"] > 0.9
    assert 'version 1 does not know "three": it has every such row wrong' in outcome.notes
    assert [cell.classes for cell in outcome.matrix] == [NAMES[:3], NAMES[:4]]
    assert "recall on the old hold-out: no class lost more than the gate allows" in outcome.reasons
    card = (home / "models" / "digits" / "v2" / "model_card.md").read_text()
    assert "A classifier of 4 classes" in card
    assert "recall of three" in card
    assert "max_fpr" not in card


def test_a_class_that_is_put_before_others_changes_none_of_them(first, newer, registry, home) -> None:
    """Positions move, names do not: the champion is compared by what it means."""
    before = retrain(first, [newer], FOUR, FAST, registry, home, gate=GATE)
    after = retrain(first, [newer], spec_of("Three", *NAMES[:3]), FAST, registry, home, gate=GATE)
    for one, other in zip(before.champion, after.champion, strict=True):
        assert classes_of(one).recall["two"] == classes_of(other).recall["two"]
        assert one.metrics.accuracy == other.metrics.accuracy
    assert after.recommendation == "promote"
    third = retrain(
        later(after.version, ModelVersion), [newer_half(newer)], FOUR, FAST, registry, home, gate=GATE
    )
    assert classes_of(third.champion[0]).accuracy > 0.9


def newer_half(path: Path) -> Path:
    """Other rows than those of the file: the same digits, a little lighter."""
    frame = pd.read_csv(path)
    numbers = frame.drop(columns="label").clip(lower=1).assign(label=frame["label"])
    numbers.to_csv(path.with_name("lighter.csv"), index=False)
    return path.with_name("lighter.csv")


@pytest.mark.parametrize("spec", [THREE, FOUR], ids=["as before", "with a new class"])
def test_a_challenger_that_forgot_a_class_is_blocked_and_the_class_is_named(
    first, newer, digits, csv, spec, registry, home
) -> None:
    files = [newer] if spec is FOUR else [csv(digits[digits["label"].isin(NAMES[:3])][360:], "more.csv")]
    outcome = retrain(first, files, spec, Watched(forgets=1), registry, home, gate=GATE)
    assert outcome.recommendation == "keep"
    blocking = [reason for reason in outcome.reasons if '"one" is forgotten' in reason]
    assert blocking, outcome.reasons
    assert blocking[0].startswith('recall of "one" on the old hold-out ')
    assert not any('"zero"' in reason or '"two"' in reason for reason in outcome.reasons)


def test_no_row_that_measures_ever_trains(first, newer, registry, home) -> None:
    watched = Watched()
    outcome = retrain(first, [newer], FOUR, watched, registry, home, gate=GATE)
    data = build(first.data, [newer], FOUR)
    held = pd.concat([features for features, _ in data.holdouts.values()])
    trained = {tuple(row) for seen in watched.seen for row in seen.itertuples(index=False)}
    assert len(held) == sum(evaluation.rows for evaluation in outcome.challenger)
    assert not trained & {tuple(row) for row in held.itertuples(index=False)}


@pytest.mark.parametrize(
    "trainer",
    [
        HistGradientBoosting(max_iter=8),
        RandomForest(n_estimators=12),
        Calibrated(LogisticRegression(), "sigmoid"),
    ],
    ids=["boosting", "forest", "calibrated"],
)
def test_a_version_of_several_classes_is_made_again_to_1e_12(trainer, base, newer, registry, home) -> None:
    words = (trainer, registry, home)
    one = train("digits", [base], [], THREE, *words, gate=GATE).version
    two = retrain(one, [newer], FOUR, *words, gate=GATE).version
    for version in (one, two):
        found = reproduce(later(version, ModelVersion), trainer)
        assert found.same, found.differences


def test_models_of_two_and_of_several_classes_are_not_compared(first, base, newer, registry, home) -> None:
    rest = {"trainer": FAST, "registry": registry, "home": home, "gate": GATE}
    with pytest.raises(
        TrainingError, match=r"tells several classes apart, .* names two: .*`driftcatcher train`"
    ):
        retrain(first, [newer], LabelSpec("label", negative=("zero",)), **rest)
    binary = train("two", [base], [], LabelSpec("label", negative=("zero",)), **rest).version
    assert isinstance(binary.evaluations[0].metrics, Metrics)
    with pytest.raises(
        TrainingError, match=r"tells two classes apart, .* names several: .*`driftcatcher train`"
    ):
        retrain(binary, [newer], FOUR, **rest)
    with pytest.raises(TrainingError, match=r'knows "two", which `classes` .* does not name any more'):
        retrain(first, [newer], spec_of("zero", "one", "three"), **rest)


def test_what_a_retrain_would_bring_is_estimated_by_name(first, newer) -> None:
    found = later(expect(first, champion(first), [newer], FOUR, FAST), Expectation).cell
    assert found.champion.recall["three"] == 0
    assert found.differences["accuracy"].low > 0
    assert found.differences["recall/three"].value > 0.8


def test_records_of_both_kinds_are_told_apart_when_they_come_back(first) -> None:
    truth = np.array([0, 1, 1, 0])
    binary = Evaluation("old", 4, evaluate(truth, truth))
    for evaluation in (binary, first.evaluations[0]):
        assert later(evaluation, Evaluation) == evaluation
    old = TypeAdapter(ModelVersion).dump_python(replace(first, classes=()), mode="json")
    del old["classes"]  # a record of an earlier release
    assert TypeAdapter(ModelVersion).validate_python(old).classes == ()


def test_a_class_without_rows_to_learn_from_or_to_be_measured_by_is_refused(base, digits, csv) -> None:
    with pytest.raises(TrainingError, match='has the label "three": label some, or take it out of `classes`'):
        build([base], (), FOUR)
    one = pd.concat([digits[digits["label"].isin(NAMES[:3])][:200], digits[digits["label"] == "three"][:1]])
    with pytest.raises(TrainingError, match=r'side has no row with the label "three": there are 1 in all'):
        build([csv(one, "one.csv")], (), FOUR)


def test_a_label_that_is_none_of_the_classes_names_value_rows_and_what_to_do(newer) -> None:
    with pytest.raises(TrainingError) as raised:
        build([newer], (), THREE)
    said = str(raised.value)
    assert '"three" in ' in said
    assert "rows (counted after the header: " in said
    assert said.endswith(
        'the classes are "zero", "one", "two": correct the file, or add the class to `classes` under [models.label]'
    )


def test_labels_are_told_as_people_write_them(csv) -> None:
    rng = np.random.default_rng(0)
    words = np.array([" Wine 1", "wine 1.0", "WINE 2", "3", "3.0"])
    frame = pd.DataFrame({"a": rng.normal(size=200), "label": rng.choice(words, 200)})
    data = build([csv(frame, "words.csv")], (), spec_of("Wine 1", "wine 1.0", "Wine 2", "3"))
    labels = np.concatenate([data.train_y, data.holdouts["old"][1]])
    expected = frame["label"].map({" Wine 1": 0, "wine 1.0": 1, "WINE 2": 2, "3": 3, "3.0": 3})
    assert sorted(labels) == sorted(expected)


@pytest.mark.parametrize("mix", [Mix("balanced"), Mix("recent", half_life=1), Mix("capped", old_per_new=0.5)])
def test_every_mix_keeps_every_class(first, newer, mix, registry, home) -> None:
    outcome = retrain(first, [newer], FOUR, FAST, registry, home, gate=GATE, mix=mix)
    assert min(v for e in outcome.challenger for v in classes_of(e).recall.values() if v is not None) > 0.7


def test_a_class_with_fewer_rows_than_folds_can_be_calibrated_and_searched() -> None:
    wine = load_wine(as_frame=True)
    few = np.flatnonzero((wine.target != 2) | (np.arange(len(wine.target)) >= len(wine.target) - 2))
    features, labels = wine.data.iloc[few].reset_index(drop=True), wine.target.to_numpy()[few]
    assert np.bincount(labels)[2] == 2
    for method in ("sigmoid", "isotonic"):
        model = Calibrated(FAST, method).fit(features, labels, ())
        said, sure = predicted(model, features, "it", 3)
        assert accuracy_score(labels, said) > 0.9
        assert ((sure >= 0) & (sure <= 1)).all()
    space = Space({"C": [0.01, 1.0]}, folds=3)
    searched = Searched(lambda given: LogisticRegression(**given), space)
    searched.fit(features, labels, ())
    assert searched.params()["search.metric"] == "balanced_accuracy"
    assert "trials by balanced_accuracy" in searched.notes[0]


def test_a_model_that_was_fitted_on_some_classes_gives_the_others_no_chance() -> None:
    wine = load_wine(as_frame=True)
    some = wine.target.to_numpy() != 1
    model = FAST.fit(wine.data[some], wine.target.to_numpy()[some], ())
    said, _ = predicted(model, wine.data, "it", 3)
    assert set(said) == {0, 2}


def test_a_model_of_two_classes_cannot_stand_for_several() -> None:
    class Two:
        def predict(self, features: pd.DataFrame) -> np.ndarray:
            return np.zeros(len(features), dtype=int)

        def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
            return np.full((len(features), 2), 0.5)

    with pytest.raises(TrainingError, match=r"of 3 classes labels 0 to 2 .* for two classes cannot be used"):
        predicted(Two(), load_wine(as_frame=True).data, "the new two", 3)


def test_the_sides_of_two_classes_are_what_they_were() -> None:
    """The code of row and label has room for as many labels as there are; two give what two always gave."""
    rng = np.random.default_rng(0)
    rows, held = rng.integers(0, 20, 300), rng.random(300) < 0.3
    origin = np.sort(rng.integers(0, 4, 300))
    several = rng.integers(0, 4, 300)
    assert (kept_sides(held, rows, several, origin) == by_hand(held, rows, several, origin)).all()
    two = several % 2
    assert (kept_sides(held, rows, two, origin) == by_hand(held, rows, two, origin)).all()


def by_hand(held: np.ndarray, rows: np.ndarray, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The rule of `kept_sides`, row by row."""
    held = held.copy()
    for file in np.unique(origin):
        mine = origin == file
        before = origin < file
        for i in np.flatnonzero(mine):
            for same in (rows == rows[i], (rows == rows[i]) & (labels == labels[i])):
                sides = np.unique(held[before & same])
                if len(sides) == 1:
                    held[i] = sides[0]
    return held


def test_classes_whose_names_look_alike_to_mlflow_are_logged_apart() -> None:
    names = ("DoS [slow]", "BENIGN", "DoS (slow)")
    truth = np.array([0, 0, 1, 1, 2, 2])
    said = np.array([0, 0, 1, 1, 2, 1])
    for rows, number in ((np.arange(6), 6), (np.arange(2, 6), 4)):  # the first class has no row there
        evaluation = Evaluation("new", number, evaluate_classes(truth[rows], said[rows], names))
        logged = _named("challenger", [evaluation])
        assert logged["new_holdout.challenger.recall/DoS _slow__2"] == 0.5
        assert logged.get("new_holdout.challenger.recall/DoS _slow_") == (1.0 if number == 6 else None)
    cell = compare("era 1", truth, truth, said, classes=names)
    logged = _of_eras([cell])
    assert logged["era_1_holdout.challenger.recall/DoS _slow__2"] == 0.5
    assert logged["era_1_holdout.gain.recall/DoS _slow__2"] == -0.5
    assert logged["era_1_holdout.gain.recall/DoS _slow_"] == 0
