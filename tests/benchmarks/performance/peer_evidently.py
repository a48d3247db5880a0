"""Runs in Evidently's own environment: the drift report by PSI, without its HTML. `check REFERENCE BATCH`."""

import sys
import warnings

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

warnings.filterwarnings("ignore")
reference, batch = (pd.read_csv(path).select_dtypes("number") for path in sys.argv[2:])
definition = DataDefinition(numerical_columns=list(reference))
run = Report([DataDriftPreset(method="psi")]).run(
    current_data=Dataset.from_pandas(batch, data_definition=definition),
    reference_data=Dataset.from_pandas(reference, data_definition=definition),
)
print(len(run.dict()["metrics"]), "metrics")
