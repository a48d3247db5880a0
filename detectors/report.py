"""What a check found: frozen types that flow from the verdict to Slack, the command line and SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from detectors.cells import some_names

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["stable", "warning", "drift", "insufficient_data", "broken_feed"]
Recommendation = Literal["none", "investigate", "label", "retrain"]
Severity = Literal["none", "moderate", "significant"]
FaultKind = Literal[
    "missing_column", "renamed_column", "shifted_columns", "wrong_type", "no_values", "frozen", "unit",
    "duplicates", "clock",
]  # fmt: skip
_MOST_OUTSIDE = 0.10  # share of a batch outside the training from which an estimate is not valid


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One detector's finding on one feature.

    Attributes:
        feature: column name as in the baseline (stripped).
        detector: name of the detector that measured.
        statistic: the detector's number as its literature defines it (PSI, D, ...).
        effect: the size-corrected statistic that the thresholds are held against (PSI* for PSI).
        p_value: probability of a statistic this large without drift, None where the detector has none.
        severity: none, moderate or significant, after the correction for many features.
        drifted: severity is not none.
        detail: one plain phrase for people: what changed ("median 12 → 88", "missing 0 % → 41 %").
    """

    feature: str
    detector: str
    statistic: float
    effect: float
    p_value: float | None
    severity: Severity
    drifted: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with the feed rather than with the world.

    Attributes:
        kind: what kind of fault.
        features: the columns concerned; empty where it is the rows.
        cause: what was seen and the likely cause, a phrase without the columns' names.
        share: share of the rows concerned, in (0, 1].
    """

    kind: FaultKind
    features: tuple[str, ...]
    cause: str
    share: float = 1.0

    @property
    def text(self) -> str:
        """One plain sentence for people."""
        if self.kind == "missing_column":
            plural = "s are" if len(self.features) > 1 else " is"
            return f"{len(self.features)} feature column{plural} missing: {some_names(self.features)}"
        return f"{some_names(self.features)}: {self.cause}" if self.features else self.cause


@dataclass(frozen=True, slots=True)
class Cause:
    """Features that moved together.

    Attributes:
        features: the leading one first.
        contribution: share of the whole drift, weighted by importance to the model, in [0, 1].
        segment: where it happens ('Protocol = "udp"'), empty where it is not in one place.
        segment_share: share of the batch in that segment.
    """

    features: tuple[str, ...]
    contribution: float
    segment: str = ""
    segment_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated performance of the model on one unlabelled batch. Shares, 0.01 = one point.

    It rests on the labels still meaning what they meant: concept drift cannot be seen in it.

    Attributes:
        accuracy: estimated; low / high: its 95 % interval.
        reference: accuracy on the model's own hold-outs.
        rows: rows of the batch that were scored.
        outside: share of the batch where the training has next to no rows; nothing is estimated of it.
        precision / recall: estimated, None where the model predicts no positives or none are expected, and of more
            than two classes.
    """

    accuracy: float
    low: float
    high: float
    reference: float
    rows: int
    outside: float
    precision: float | None = None
    recall: float | None = None

    @property
    def loss(self) -> float:
        """Points of accuracy lost, estimated; negative is a gain."""
        return self.reference - self.accuracy

    @property
    def valid(self) -> bool:
        """False where too much of the batch lies outside the training's experience."""
        return self.outside <= _MOST_OUTSIDE

    @property
    def harmless(self) -> bool:
        """No loss of 2 points, by an interval that excludes one even if all rows outside are predicted wrongly."""
        return self.valid and self.low - self.outside > self.reference - 0.02

    @property
    def harm(self) -> bool:
        """A loss above 2 points, with an interval that excludes none."""
        return self.loss > 0.02 and self.high < self.reference


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The verdict on one batch against one baseline.

    Attributes:
        verdict: stable, warning (moderate drift), drift (significant), insufficient_data or broken_feed.
        recommendation: none, investigate, label or retrain.
        overall_psi: mean PSI over the features (uncorrected); None where no PSI was measured.
        rows: data rows of the batch.
        features: one entry for each feature and detector, worst first.
        errors: what could not be measured and why, one sentence each.
        notes: what was read on purpose in a certain way (extra columns ignored, names repeated ...).
        rows_needed: with insufficient_data, the rows that would do.
        baseline_version: version of the model that the baseline belongs to.
        policy: calibrated or classic.
        unmeasured: features that no detector could measure, since each that was asked failed.
        estimate: what the batch has probably cost the model; None where the champion did not score it.
        causes: the drifted features, those that moved together as one, largest contribution first.
        faults: with broken_feed, what is wrong with the feed; `errors` begins with the same as sentences.
        creeping: features that no batch alone shows, but this and earlier ones together; `notes` say since when.
    """

    verdict: Verdict
    recommendation: Recommendation
    overall_psi: float | None
    rows: int
    features: tuple[FeatureDrift, ...]
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rows_needed: int | None = None
    baseline_version: str = ""
    policy: str = "calibrated"
    unmeasured: tuple[str, ...] = ()
    estimate: Estimate | None = None
    causes: tuple[Cause, ...] = ()
    faults: tuple[Fault, ...] = ()
    creeping: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The findings that count as drift, worst first."""
        return tuple(f for f in self.features if f.drifted)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DriftReport:
        """The inverse of `to_dict`, also after a round trip through JSON."""
        features = tuple(FeatureDrift(**f) for f in data["features"])
        lists = {k: tuple(data.get(k, ())) for k in ("errors", "notes", "unmeasured", "creeping")}
        causes = tuple(Cause(**{**c, "features": tuple(c["features"])}) for c in data.get("causes", ()))
        estimate = Estimate(**data["estimate"]) if data.get("estimate") else None
        faults = tuple(Fault(**{**f, "features": tuple(f["features"])}) for f in data.get("faults", ()))
        parts = {"features": features, "causes": causes, "estimate": estimate, "faults": faults}
        return cls(**{**data, **lists, **parts})

    def to_frame(self) -> pd.DataFrame:
        """One row a feature and detector, with the fields of `FeatureDrift` as columns, worst first."""
        import pandas as pd

        columns = list(FeatureDrift.__dataclass_fields__)
        return pd.DataFrame([asdict(f) for f in self.features], columns=columns)
