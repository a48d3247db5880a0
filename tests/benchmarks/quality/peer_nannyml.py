"""Runs in NannyML's own environment: `UnivariateDriftCalculator` with its defaults. See `peers` for the protocol."""

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


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        task = json.loads(line)
        names = task["numerical"] + task["categorical"]
        reference, said, calculator, rows = pd.read_parquet(task["reference"]), [], None, 0
        for path in task["batches"]:
            batch = pd.read_parquet(path)
            try:
                if calculator is None or rows != len(batch):
                    rows = len(batch)
                    calculator = nannyml.UnivariateDriftCalculator(
                        column_names=names, treat_as_categorical=task["categorical"], chunk_size=rows
                    )
                    calculator.fit(reference)
                said.append(judge(calculator, batch, names))
            except Exception as error:
                said.append({"error": f"{type(error).__name__}: {error}"[:300]})
        print("\x1e" + json.dumps(said), flush=True)


main()
