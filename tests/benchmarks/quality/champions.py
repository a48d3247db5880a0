"""Champions whose true accuracy is known on every row: what a drift really costs, and what does not.

The probability of class 1 is a known function of the features, so the expected accuracy of a model on a batch is
the mean probability of its predictions, without the noise of labels; labels are drawn from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from detectors import Baseline
from detectors.table import reference_rows
from detectors.track_record import measure
from tests.benchmarks.quality.population import Pool, frame_of, make_pool
from trainers.base import LabelSpec
from trainers.schema import learn_schema, typed_features
from trainers.sklearn_trainers import HistGradientBoosting

Columns = dict[str, np.ndarray]
LABEL = "label"
HELD_OUT = 0.3
_POOL_ROWS = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Probability of class 1 by the features: smooth effects, one of two features together, a category, zeros.

    Attributes:
        names: the normals that matter, in the order of `weights`.
        segment: rows with this word in category_0 are harder: their log-odds are multiplied by `blur`.
    """

    pool: Pool
    names: tuple[str, ...]
    weights: np.ndarray
    word_effects: Mapping[str, float]
    offset: float
    steepness: float
    segment: str
    blur: float

    def standard(self, columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        return np.asarray((columns[name] - self.pool.centre[name]) / self.pool.scale[name])

    def log_odds(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        parts = [self.standard(columns, name) for name in self.names]
        total = np.sum([w * np.tanh(z) for w, z in zip(self.weights, parts, strict=True)], axis=0)
        total = total + 0.8 * np.clip(parts[0] * parts[1], -2, 2) + 0.7 * np.cos(1.5 * parts[2])
        total = total + np.array(
            [self.word_effects.get(word, 0.0) for word in columns["category_1"].tolist()]
        )
        total = total + 0.5 * (columns["zeros_0"] == 0) - self.offset
        blurred = np.where(columns["category_0"] == self.segment, self.blur, 1.0)
        return np.asarray(self.steepness * blurred * total)

    def chance(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probability of class 1, shape (rows,)."""
        return np.asarray(1 / (1 + np.exp(-self.log_odds(columns))))


def make_truth(pool: Pool, random: np.random.Generator) -> Truth:
    names = tuple(pool.of("normal")[:5])
    words = sorted({word for word in pool.columns["category_1"][:2000].tolist() if word is not None})
    truth = Truth(
        pool,
        names,
        random.choice([-1, 1], 5) * random.uniform(0.8, 2.0, 5),
        {word: float(random.normal(0, 0.6)) for word in words},
        0.0,
        1.0,
        segment="v002",
        blur=0.25,
    )
    # about three rows in ten are of class 1, and the best possible accuracy is some 90 to 95 %
    raw = truth.log_odds(pool.columns)
    return replace(truth, offset=float(np.quantile(raw, 0.68)), steepness=random.uniform(3.0, 5.0))


@dataclass(frozen=True, slots=True, eq=False)
class Champion:
    """A model, its baseline, and what is true of it.

    Attributes:
        baseline: with track record and table, as the training pipeline makes it.
        accuracy: expected, on rows like the reference's.
        fresh: rows of the pool that neither training nor hold-out has seen.
    """

    pool: Pool
    truth: Truth
    model: Any
    schema: Any
    baseline: Baseline
    accuracy: float
    fresh: np.ndarray

    def predict(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.model.predict(frame)), np.asarray(self.model.predict_proba(frame))[:, 1]

    def said(self, columns: Columns) -> np.ndarray:
        """Its labels for rows as they come."""
        return self.scored(columns)[0]

    def scored(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Its labels and probabilities of class 1 for rows as they come."""
        return self.predict(typed_features(frame_of(columns), self.schema, "batch", []))


def make_champion(seed: int, features: int = 40, rows: int = 10_000) -> Champion:
    """Train the default trainer on 70 % of the reference and measure it on the rest."""
    random = np.random.default_rng([seed, 77])
    pool = make_pool(features, _POOL_ROWS, 1000 + seed)
    truth = make_truth(pool, random)
    order = random.permutation(pool.rows)
    columns = pool.take(order[:rows])
    labels = (random.random(rows) < truth.chance(columns)).astype(np.int64)
    held = random.random(rows) < HELD_OUT
    spec = LabelSpec(LABEL, positive=("1",))
    frame = frame_of(columns)
    schema, _ = learn_schema([frame.assign(**{LABEL: labels})], spec)
    typed = typed_features(frame, schema, "reference", [])
    model, baseline = trained(typed, labels, held, schema)
    fresh = order[rows:]
    some = pool.take(fresh[:20_000])
    guess = np.asarray(model.predict(typed_features(frame_of(some), schema, "fresh", [])))
    return Champion(pool, truth, model, schema, baseline, _right(truth.chance(some), guess), fresh)


def trained(
    typed: pd.DataFrame, labels: np.ndarray, held: np.ndarray, schema: Any, trainer: Any = None
) -> tuple[Any, Baseline]:
    """Model and baseline as `trainers.pipeline` makes them: cells of the training rows, a record of the
    hold-outs, and a table of both."""
    train_x, train_y = typed[~held].reset_index(drop=True), labels[~held]
    held_x, held_y = typed[held].reset_index(drop=True), labels[held]
    trainer = HistGradientBoosting() if trainer is None else trainer
    model = trainer.fit(train_x, train_y, schema.categorical)
    baseline = Baseline.fit(
        train_x, label=LABEL, categorical=schema.categorical, model="benchmark", version="1"
    )
    parts = list(baseline.features.values())

    def champion(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(model.predict(rows)), np.asarray(model.predict_proba(rows))[:, 1]

    record = measure(parts, held_x, held_y, champion)
    table = reference_rows(parts, pd.concat([train_x, held_x], ignore_index=True))
    return model, replace(baseline, record=record, table=table)


def _right(chance: np.ndarray, guess: np.ndarray) -> float:
    return float(np.where(guess == 1, chance, 1 - chance).mean())


@dataclass(frozen=True, slots=True, eq=False)
class HarmBatch:
    """A batch and what it has truly cost.

    Attributes:
        columns: features.
        labels: drawn from the true probabilities.
        loss: expected accuracy on the reference less that on these rows.
        realised: accuracy on the drawn labels.
        predicted: labels that the champion gives.
    """

    columns: Columns
    labels: np.ndarray
    loss: float
    realised: float
    predicted: np.ndarray


@dataclass(frozen=True, slots=True)
class HarmScenario:
    """What happens to rows and labels.

    Attributes:
        name: as it stands in the table.
        family: none, covariate (the label's probability given the features is unchanged), prior, noise (what the
            model is told is wrong), novel (rows such as were never seen, with labels of their own), or concept
            (the features are as they were).
        sizes: of the change, drawn evenly between these two.
        tilt: log-weight of drawing a row, given the size, where rows are drawn unevenly.
        change: changes features, given the size.
        follows: the label follows the changed features; else it is that of the rows as they were.
        turned: changes the probabilities of class 1, given columns and size.
    """

    name: str
    family: str
    sizes: tuple[float, float] = (0.0, 0.0)
    tilt: Callable[[Truth, Mapping[str, np.ndarray], float], np.ndarray] | None = None
    change: Callable[[Columns, Champion, float, np.random.Generator], None] | None = None
    follows: bool = True
    turned: Callable[[Columns, np.ndarray, Truth, float], np.ndarray] | None = None


def draw(scenario: HarmScenario, champion: Champion, rows: int, random: np.random.Generator) -> HarmBatch:
    """A batch of fresh rows to which the scenario has happened."""
    size = random.uniform(*scenario.sizes)
    chosen = champion.fresh
    if scenario.tilt is not None:
        some = random.choice(chosen, min(len(chosen), 12 * rows), replace=False)
        log_weight = scenario.tilt(champion.truth, champion.pool.take(some), size)
        weight = np.exp(log_weight - log_weight.max())
        # without replacement: the keys of Efraimidis and Spirakis (2006)
        keys = np.log(random.random(len(some))) / np.maximum(weight, 1e-300)
        chosen = some[np.argsort(-keys)[:rows]]
    else:
        chosen = random.choice(chosen, rows, replace=False)
    columns = champion.pool.take(chosen)
    chance = champion.truth.chance(columns)
    if scenario.change is not None:
        scenario.change(columns, champion, size, random)
        chance = champion.truth.chance(columns) if scenario.follows else chance
    if scenario.turned is not None:
        chance = scenario.turned(columns, chance, champion.truth, size)
    labels = (random.random(rows) < chance).astype(np.int64)
    predicted = champion.said(columns)
    loss = champion.accuracy - _right(chance, predicted)
    return HarmBatch(columns, labels, loss, float((predicted == labels).mean()), predicted)


def _hard(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    return -size * np.minimum(np.abs(truth.log_odds(columns)), 5.0)


def _easy(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    return -_hard(truth, columns, size)


def _irrelevant(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    return size * (truth.standard(columns, "count_0") + np.nan_to_num(truth.standard(columns, "gaps_0")))


def _relevant(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    return size * (truth.standard(columns, truth.names[0]) + truth.standard(columns, truth.names[2]))


def _segment(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    return size * (columns["category_0"] == truth.segment)


def _class_one(truth: Truth, columns: Mapping[str, np.ndarray], size: float) -> np.ndarray:
    """Rows of class 1 are e^size times as likely as before, whatever their features."""
    return np.log1p(np.expm1(size) * truth.chance(columns))


def _more_class_one(columns: Columns, chance: np.ndarray, truth: Truth, size: float) -> np.ndarray:
    return np.exp(size) * chance / (1 + np.expm1(size) * chance)


def _slide(columns: Columns, champion: Champion, size: float, random: np.random.Generator) -> None:
    """Two features that the label depends on shift; the label follows them."""
    for name in champion.truth.names[1:3]:
        columns[name] = columns[name] + size * champion.pool.scale[name]


def _slide_irrelevant(columns: Columns, champion: Champion, size: float, random: np.random.Generator) -> None:
    for name in champion.pool.of("normal")[8:10]:
        columns[name] = columns[name] + size * champion.pool.scale[name]


def _gone(columns: Columns, champion: Champion, size: float, random: np.random.Generator) -> None:
    """What the model is told of one important feature is another row's; the label follows what it was.

    The feature goes with others. One that goes with none is as it was in every distribution once its rows are
    mixed: that is concept drift, which nobody sees without labels.
    """
    name = champion.truth.names[int(np.argmax(np.abs(champion.truth.weights) * _connected(champion)))]
    hit = random.random(len(columns[name])) < size
    columns[name] = np.where(hit, random.permutation(columns[name]), columns[name])


def _connected(champion: Champion) -> np.ndarray:
    """The largest rank correlation of each feature that the label depends on with any other of them."""
    rows = np.stack([champion.pool.columns[name][:5_000] for name in champion.pool.of("normal")], axis=1)
    rho = np.abs(np.corrcoef(np.argsort(np.argsort(rows, axis=0), axis=0), rowvar=False))
    np.fill_diagonal(rho, 0.0)
    names = champion.pool.of("normal")
    return rho.max(axis=1)[[names.index(name) for name in champion.truth.names]]


def _novel(columns: Columns, champion: Champion, size: float, random: np.random.Generator) -> None:
    """Rows of a kind never seen: a combination far out, and a word that is new."""
    hit = random.random(len(columns["category_2"])) < size
    for k, name in enumerate(champion.pool.of("normal")[:6]):
        there = champion.pool.centre[name] + (-1) ** k * 2.2 * champion.pool.scale[name]
        columns[name] = np.where(
            hit, there + 0.2 * champion.pool.scale[name] * random.normal(size=len(hit)), columns[name]
        )
    columns["category_2"] = np.where(hit, "novel", columns["category_2"])


def _novel_labels(columns: Columns, chance: np.ndarray, truth: Truth, size: float) -> np.ndarray:
    """The new rows are of the class that the old rule would not give them."""
    new = columns["category_2"] == "novel"
    return np.where(new, np.where(np.median(chance[new]) > 0.5 if new.any() else False, 0.02, 0.98), chance)


def _flip(columns: Columns, chance: np.ndarray, truth: Truth, size: float) -> np.ndarray:
    """Where one feature is high the labels turn round."""
    z = truth.standard(columns, truth.names[3])
    return np.where(z > np.quantile(z, 1 - size), 1 - chance, chance)


COVARIATE = (
    HarmScenario("nothing", "none"),
    HarmScenario("more easy rows", "covariate", (0.1, 0.5), tilt=_easy),
    HarmScenario("more hard rows", "covariate", (0.1, 0.7), tilt=_hard),
    HarmScenario(
        "rows with other values of features that do not matter", "covariate", (0.3, 0.8), tilt=_irrelevant
    ),
    HarmScenario("rows with other values of features that matter", "covariate", (0.3, 0.8), tilt=_relevant),
    HarmScenario("a hard segment grows", "covariate", (1.0, 3.0), tilt=_segment),
    HarmScenario("features that matter shift", "covariate", (0.3, 1.5), change=_slide),
    HarmScenario("features that do not matter shift", "covariate", (0.5, 1.5), change=_slide_irrelevant),
)
OTHERS = (
    HarmScenario("prior shift", "prior", (0.7, 2.0), tilt=_class_one, turned=_more_class_one),
    HarmScenario("an important feature turns to noise", "noise", (0.3, 1.0), change=_gone, follows=False),
    HarmScenario(
        "rows of a new kind, with a class of their own",
        "novel",
        (0.05, 0.3),
        change=_novel,
        turned=_novel_labels,
    ),
)
CONCEPT = HarmScenario("labels turn where one feature is high", "concept", (0.1, 0.3), turned=_flip)
