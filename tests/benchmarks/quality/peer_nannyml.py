"""Runs in NannyML's own environment: `UnivariateDriftCalculator` and `CBPE` with their defaults. See `peers`."""

import json
import logging
import sys
import time
import warnings

import nannyml
import pandas as pd


def judge(calculator, batch, names):
    started = time.perf_counter()
    table = calculator.calculate(batch).filter(period="analysis").to_df()
    seconds = time.perf_counter() - started
    suspicion, alerts = {}, []
    for name in names:
        found = table[name]["jensen_shannon"].iloc[0]
        limit = found["upper_threshold"]
        suspicion[name] = found["value"] / limit if limit else found["value"]
        if found["alert"]:
            alerts.append(name)
    ranking = sorted(suspicion, key=lambda name: -suspicion[name])
    return {"alarm": bool(alerts), "any": bool(alerts), "ranking": ranking, "seconds": seconds}


def estimate(estimator, batch):
    started = time.perf_counter()
    found = estimator.estimate(batch).filter(period="analysis").to_df()["accuracy"].iloc[0]
    seconds = time.perf_counter() - started
    return {
        "accuracy": float(found["value"]),
        "low": float(found["lower_confidence_boundary"]),
        "high": float(found["upper_confidence_boundary"]),
        "alarm": bool(found["alert"]),
        "seconds": seconds,
    }


def calculator_of(task, reference, rows):
    names = task["numerical"] + task["categorical"]
    made = nannyml.UnivariateDriftCalculator(
        column_names=names, treat_as_categorical=task["categorical"], chunk_size=rows
    )
    made.fit(reference)
    return lambda batch: judge(made, batch, names)


def estimator_of(task, record, rows):
    made = nannyml.CBPE(
        metrics=["accuracy"],
        y_true="label",
        y_pred="said",
        y_pred_proba="probability",
        problem_type="classification_binary",
        chunk_size=rows,
    )
    made.fit(record)
    return lambda batch: estimate(made, batch)


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        task = json.loads(line)
        made = estimator_of if "record" in task else calculator_of
        known, said, one, rows = pd.read_parquet(task.get("record") or task["reference"]), [], None, 0
        for path in task["batches"]:
            batch = pd.read_parquet(path)
            try:
                if one is None or rows != len(batch):
                    rows = len(batch)
                    one = made(task, known, rows)
                said.append(one(batch))
            except Exception as error:
                said.append({"error": f"{type(error).__name__}: {error}"[:300]})
        print("\x1e" + json.dumps(said), flush=True)


main()
