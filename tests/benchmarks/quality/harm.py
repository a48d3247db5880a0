"""Does a drift hurt the model, and is that said? Decisions and estimates against the known truth."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from detectors import DriftReport, check
from detectors.performance import Thresholds, breaches, evaluate
from tests.benchmarks.quality.champions import (
    CONCEPT,
    COVARIATE,
    OTHERS,
    Champion,
    HarmBatch,
    HarmScenario,
    draw,
    make_champion,
)
from tests.benchmarks.quality.judges import Estimated, Judgement, Trial, judged
from tests.benchmarks.quality.population import frame_of

LABELS = 300  # labelled rows with which a turned concept is looked for
TOLERATED = 0.02  # points of accuracy below the hold-outs' at which a performance limit is set


SCENARIOS = (*COVARIATE, *OTHERS, CONCEPT)


def harm_chunk(
    rows: int, batches: int, seed: int, reference: int, scenarios: Sequence[HarmScenario] = SCENARIOS
) -> list[Trial]:
    """One champion of a reference of so many rows, and so many batches of each scenario."""
    champion = make_champion(seed, rows=reference)
    random = np.random.default_rng([seed, 9])
    trials = []
    for scenario in scenarios:
        for _ in range(batches):
            batch = draw(scenario, champion, rows, random)
            started = time.perf_counter()
            report = check(champion.baseline, frame_of(batch.columns), champion=champion.predict)
            seconds = time.perf_counter() - started
            facts = {"family": scenario.family, "loss": batch.loss, **said(report, batch.realised)}
            facts["expected_accuracy"] = champion.accuracy - batch.loss
            trials.append(trial(scenario.name, rows, report, seconds, facts, seed))
            if scenario.family == "concept":
                trials.append(_with_labels(trials[-1], batch, champion, random))
    return trials


class Estimator(Protocol):
    """See `peers.PeerJudge.estimate`."""

    def estimate(self, record: pd.DataFrame, batches: Iterable[pd.DataFrame]) -> list[Estimated | None]: ...


def estimates_chunk(
    estimator: Estimator,
    rows: int,
    batches: int,
    seed: int,
    reference: int,
    scenarios: Sequence[HarmScenario] = SCENARIOS,
) -> list[Trial]:
    """The champions and scenarios of `harm_chunk` before one who only estimates: an alarm is its advice to look."""
    champion = make_champion(seed, rows=reference)
    random = np.random.default_rng([seed, 9])
    record = champion.baseline.record
    assert record is not None
    known = pd.DataFrame({"label": record.label, "said": record.predicted, "probability": record.score})
    drawn = []
    for scenario in [scenario for scenario in scenarios for _ in range(batches)]:
        drawn.append((scenario, draw(scenario, champion, rows, random)))
        if scenario.family == "concept":
            _labelled(drawn[-1][1], random)  # what `harm_chunk` draws here: the batches after it are the same
    scored = (champion.scored(batch.columns) for _, batch in drawn)
    asked = [pd.DataFrame({"said": label, "probability": chance}) for label, chance in scored]
    trials = []
    for (scenario, batch), answer in zip(drawn, estimator.estimate(known, asked), strict=True):
        facts: dict[str, Any] = {
            "family": scenario.family,
            "loss": batch.loss,
            "realised": batch.realised,
            "expected_accuracy": champion.accuracy - batch.loss,
            "estimated": answer is not None,
            "only_estimated": True,
            "recommendation": "label" if answer is not None and answer.alarm else "none",
        }
        judgement = Judgement(False, verdict="error")
        if answer is not None:
            facts |= {"accuracy": answer.accuracy, "low": answer.low, "high": answer.high}
            judgement = Judgement(answer.alarm, seconds=answer.seconds)
        trials.append(
            Trial("harm", scenario.name, 40, rows, batch.loss > 0.03, judgement, facts=facts, seed=seed)
        )
    return trials


def said(report: DriftReport, realised: float) -> dict[str, Any]:
    """What was recommended and estimated, beside the accuracy that the labels give."""
    estimate = report.estimate
    facts: dict[str, Any] = {
        "recommendation": report.recommendation,
        "realised": realised,
        "estimated": estimate is not None,
    }
    if estimate is not None:
        facts |= {
            "accuracy": estimate.accuracy,
            "low": estimate.low,
            "high": estimate.high,
            "reference": estimate.reference,
            "valid": estimate.valid,
            "outside": estimate.outside,
            "harm": estimate.harm,
        }
    return facts


def trial(
    name: str,
    rows: int,
    report: DriftReport,
    seconds: float,
    facts: dict[str, Any],
    seed: int,
    features: int = 40,
) -> Trial:
    return Trial(
        "harm", name, features, rows, facts["loss"] > 0.03, judged(report, seconds), facts=facts, seed=seed
    )


def _labelled(batch: HarmBatch, random: np.random.Generator) -> np.ndarray:
    """Which rows get labels."""
    return random.choice(len(batch.labels), min(LABELS, len(batch.labels)), replace=False)


def _with_labels(
    unlabelled: Trial, batch: HarmBatch, champion: Champion, random: np.random.Generator
) -> Trial:
    """The same batch with some labels at hand, held against the accuracy on the hold-outs less two points."""
    chosen = _labelled(batch, random)
    record = champion.baseline.record
    assert record is not None
    limits = Thresholds(record.accuracy - TOLERATED, None, None, None, None)
    broken = breaches(evaluate(batch.labels[chosen], batch.predicted[chosen]), limits)
    advice = "retrain" if broken else unlabelled.facts["recommendation"]
    facts = {
        **unlabelled.facts,
        "family": "concept with labels",
        "recommendation": advice,
        "estimated": False,
    }
    return Trial(
        "harm", f"{unlabelled.name}, {LABELS} labels", 40, unlabelled.rows, unlabelled.expected,
        unlabelled.judgement, facts=facts, seed=unlabelled.seed,
    )  # fmt: skip
