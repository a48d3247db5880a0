"""Runs in NannyML's own environment: Jensen-Shannon of each column, batch as one chunk. `check REFERENCE BATCH`."""

import logging
import sys
import warnings

import nannyml
import pandas as pd

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
reference, batch = (pd.read_csv(path).select_dtypes("number") for path in sys.argv[2:])
calculator = nannyml.UnivariateDriftCalculator(
    column_names=list(reference), continuous_methods=["jensen_shannon"], chunk_number=1
)
found = calculator.fit(reference).calculate(batch).filter(period="analysis").to_df()
print(found.shape[1], "results")
