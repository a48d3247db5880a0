"""One check: read a batch, summarize it, measure, judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detectors.base import AnyDetector
from detectors.baseline import Baseline
from detectors.batch_profile import profile_batch
from detectors.correlation import Correlation
from detectors.domain_classifier import DomainClassifier
from detectors.location import Location
from detectors.parts import Engine, here
from detectors.policy import Policy
from detectors.psi import PSI
from detectors.report import DriftReport
from detectors.source import Advance
from detectors.track_record import Champion, batch_frame
from detectors.verdict import Scored, judge

if TYPE_CHECKING:
    import pandas as pd


def check(
    baseline: Baseline,
    source: pd.DataFrame | Location | str,
    *,
    detectors: Sequence[AnyDetector] | None = None,
    policy: Policy | None = None,
    labelled_rows: int = 0,
    champion: Champion | None = None,
    progress: Advance | None = None,
    engine: Engine = here,
) -> DriftReport:
    """Compare a batch (a frame, a CSV or Parquet file or a folder of them) with the baseline.

    Args:
        detectors: PSI, the domain classifier and rank correlation where not given.
        policy: calibrated unless said otherwise.
        labelled_rows: labelled rows at hand; decides between "label" and "retrain".
        champion: the model itself, called with a frame of at most 10,000 rows (float64 and str columns); gives
            label and probability of class 1, of several classes position and probability of the one it says. Then
            its score is judged too, and what the batch has cost is estimated, where the baseline has a track record.
        progress: told how many bytes of a file have been read, and how many there are.
        engine: where the parts of a folder are summarized; see `detectors.parts`.

    Raises:
        DataError: the batch cannot be used; its `kind` says how.
    """
    profile = profile_batch(baseline, source, progress=progress, engine=engine)
    chosen = (PSI(), DomainClassifier(), Correlation()) if detectors is None else tuple(detectors)
    scored = None
    if champion is not None and profile.sample is not None and not profile.missing_columns:
        kinds = {n: "float64" if p.kind == "numeric" else "str" for n, p in baseline.features.items()}
        scored = Scored(*champion(batch_frame(profile.sample, kinds)))
    return judge(
        baseline, profile, detectors=chosen, policy=policy, labelled_rows=labelled_rows, scored=scored
    )
