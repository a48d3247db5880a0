"""Measures drift: `Baseline.fit(training_data)`, then `check(baseline, batch)` gives a `DriftReport`.

Pure measurement: knows nothing of Slack, SQLite or MLflow. A detector is any object of the `Detector`
protocol.
"""

from detectors.base import Detector, Score
from detectors.baseline import Baseline, profile_batch
from detectors.check import check
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
