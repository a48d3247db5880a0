"""Runs in Evidently's own environment: `DataDriftPreset` with its defaults. See `peers` for the protocol."""

import json
import sys
import time
import warnings

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def judge(reference, batch, numerical, categorical):
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    started = time.perf_counter()
    run = Report([DataDriftPreset()]).run(
        current_data=Dataset.from_pandas(batch, data_definition=definition),
        reference_data=Dataset.from_pandas(reference, data_definition=definition),
    )
    seconds = time.perf_counter() - started
    suspicion, any_drift, share = {}, False, 0.0
    for metric in run.dict()["metrics"]:
        config, value = metric["config"], metric["value"]
        if config["type"].endswith("DriftedColumnsCount"):
            share = value["share"]
            limit = config["drift_share"]
        if config["type"].endswith("ValueDrift"):
            is_p = "p_value" in metric["metric_name"]
            drifted = value < config["threshold"] if is_p else value >= config["threshold"]
            any_drift = any_drift or bool(drifted)
            suspicion[config["column"]] = -value if is_p else value / config["threshold"]
    ranking = sorted(suspicion, key=lambda name: -suspicion[name])
    return {"alarm": bool(share >= limit), "any": any_drift, "ranking": ranking, "seconds": seconds}


def main():
    warnings.filterwarnings("ignore")
    for line in sys.stdin:
        task = json.loads(line)
        reference = pd.read_parquet(task["reference"])
        said = []
        for path in task["batches"]:
            batch = pd.read_parquet(path)
            try:
                said.append(judge(reference, batch, task["numerical"], task["categorical"]))
            except Exception as error:
                said.append({"error": f"{type(error).__name__}: {error}"[:300]})
        print("\x1e" + json.dumps(said), flush=True)


main()
