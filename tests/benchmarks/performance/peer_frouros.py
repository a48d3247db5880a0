"""Runs in frouros' own environment: its PSI, column by column. `check REFERENCE BATCH`."""

import sys

import pandas as pd
from frouros.detectors.data_drift import PSI

reference, batch = (pd.read_csv(path).select_dtypes("number") for path in sys.argv[2:])
found = {}
for name in reference:
    detector = PSI()
    detector.fit(X=reference[name].to_numpy(float))
    found[name] = detector.compare(X=batch[name].to_numpy(float))[0].distance
print(len(found), "distances")
