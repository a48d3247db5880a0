"""Measures drift: `Baseline.fit(training_data)`, then `check(baseline, batch)` gives a `DriftReport`.

Pure measurement: knows nothing of Slack, SQLite or MLflow, and imports nothing of the other packages.

The map of the house, from the file inwards:

- `location`, `objects`: where a file lies, here or in an object store. `source` (`csv_source`, `textfile`,
  `parquet_source`, `chunks`, `columns`, `cells`): a file as columns; `parts`: a folder of them; `digest`: which bytes;
  `errors`: why not.
- `profile`, `batch_profile`, `tally`, `sample`, `codes`: what is kept of them.
- `baseline`, `packing`, `variation`, `table`, `track_record`: what a model version is compared with, and its file.
- `base`: what a detector is. `psi`, `ks`, `chi_square`, `jensen_shannon`, `wasserstein`, `missing_share`,
  `unseen_category`, `out_of_range`: single features. `domain_classifier`, `correlation`: all together. `creep`: batch
  after batch. `significance`, `pooled`, `cell_distance`, `describe`: what they share. `holm`: several p-values at once.
- `verdict` judges: `feed` (broken or drift; `units`, `clock`, `probe`), `findings`, `policy`, `attribution`,
  `estimated_performance`, `recommendation`. `report` is what it says; `checking` is all of it in one call.
- `performance`, `metrics`, `labelled_predictions`, `class_metrics`, `intervals`, `weighted`, `segments`,
  `degradation`, `diagnosis`: labels. `disagreement`: two versions on the same rows.
- `checks`, `table_checks`, `claims`: the contract suite of detectors. `drill`: known drifts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectors.base import Detector, Score
    from detectors.baseline import Baseline
    from detectors.batch_profile import profile_batch
    from detectors.checking import check
    from detectors.errors import DataError
    from detectors.policy import FeaturePolicy, Policy
    from detectors.report import DriftReport, FeatureDrift

__all__ = [
    "Baseline",
    "DataError",
    "Detector",
    "DriftReport",
    "FeatureDrift",
    "FeaturePolicy",
    "Policy",
    "Score",
    "check",
    "profile_batch",
]

_HOMES = {
    "Baseline": "baseline",
    "DataError": "errors",
    "Detector": "base",
    "DriftReport": "report",
    "FeatureDrift": "report",
    "FeaturePolicy": "policy",
    "Policy": "policy",
    "Score": "base",
    "check": "checking",
    "profile_batch": "batch_profile",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562): whoever wants one part does not wait for the others."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
