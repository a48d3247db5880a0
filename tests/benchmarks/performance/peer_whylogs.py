"""Runs in whylogs' own environment: KS of each column from sketches. `learn REFERENCE KEPT`, `check KEPT BATCH`."""

import sys
import warnings

import pandas as pd
import whylogs
from whylogs.core.view.dataset_profile_view import DatasetProfileView
from whylogs.viz.drift.column_drift_algorithms import KS, calculate_drift_scores

warnings.filterwarnings("ignore")


def profile(path):
    return whylogs.log(pandas=pd.read_csv(path).select_dtypes("number")).profile().view()


def learn(reference, kept):
    profile(reference).write(kept)


def check(kept, batch):
    before, now = DatasetProfileView.read(kept), profile(batch)
    names = list(now.get_columns())
    scores = calculate_drift_scores(
        now, before, with_thresholds=True, drift_map={name: KS() for name in names}
    )
    print(sum(score is not None for score in scores.values()), "scores")


{"learn": learn, "check": check}[sys.argv[1]](*sys.argv[2:])
