"""What to do about a verdict, by what it has probably cost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.report import Recommendation, Verdict

if TYPE_CHECKING:
    from detectors.policy import Policy
    from detectors.report import Estimate

_NOTICEABLE = 0.01


def recommend(
    verdict: Verdict,
    policy: Policy,
    labelled_rows: int,
    estimate: Estimate | None = None,
    *,
    joint_only: bool = False,
) -> Recommendation:
    """none, investigate, label or retrain.

    retrain: harm is estimated, or significant drift for which labelled rows are at hand. label: significant
    drift whose harm is not known without labels, or moderate drift that may have harmed. A good estimate turns
    retrain into label, never into nothing: it cannot see labels that have changed their meaning.

    `joint_only`: no single feature has drifted, but how they go together has. What the model makes of that its
    scores do not tell, so a good estimate counts for nothing.
    """
    if policy.kind == "classic":
        return "retrain" if verdict == "drift" else "investigate" if _noticed(verdict) else "none"
    if verdict not in ("drift", "warning"):
        return "investigate" if _noticed(verdict) else "none"
    if estimate is not None and estimate.valid and estimate.harm:
        return "retrain"
    if joint_only:
        return "retrain" if verdict == "drift" and labelled_rows > 0 else "label"
    if verdict == "drift":
        harmless = estimate is not None and estimate.harmless
        return "retrain" if labelled_rows > 0 and not harmless else "label"
    if estimate is not None and (estimate.loss > _NOTICEABLE or estimate.outside > 2 * _NOTICEABLE):
        return "label"
    return "investigate"


def _noticed(verdict: Verdict) -> bool:
    return verdict in ("warning", "broken_feed")
