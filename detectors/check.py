"""One check: read a batch, summarize it, measure, judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.base import Detector
from detectors.baseline import Baseline, profile_batch
from detectors.psi import PSI
from detectors.report import DriftReport
from detectors.source import Advance
from detectors.verdict import Policy, judge

if TYPE_CHECKING:
    import pandas as pd


def check(
    baseline: Baseline,
    source: pd.DataFrame | Path | str,
    *,
    detectors: Sequence[Detector] | None = None,
    policy: Policy | None = None,
    labelled_rows: int = 0,
    progress: Advance | None = None,
) -> DriftReport:
    """Compare a batch (a frame or a CSV or Parquet file) with the baseline.

    Args:
        detectors: PSI where not given.
        policy: calibrated unless said otherwise.
        labelled_rows: labelled rows at hand; decides between "label" and "retrain".
        progress: told how many bytes of a file have been read, and how many there are.

    Raises:
        DataError: the batch cannot be used; its `kind` says how.
    """
    profile = profile_batch(baseline, source, progress=progress)
    chosen = (PSI(),) if detectors is None else tuple(detectors)
    return judge(baseline, profile, detectors=chosen, policy=policy, labelled_rows=labelled_rows)
