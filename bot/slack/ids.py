"""Names of everything in Slack that can be pressed or submitted; the listeners register the same names."""

from __future__ import annotations

INCIDENT_APPROVE = "incident_approve"
INCIDENT_SNOOZE = "incident_snooze"
INCIDENT_CONFIRM = "incident_confirm"
INCIDENT_DISMISS = "incident_dismiss"
INCIDENT_DETAILS = "incident_details"
INCIDENT_SAMPLE = "incident_sample"
BATCH_QUARANTINE = "batch_quarantine"
BATCH_RELEASE = "batch_release"
RETRAIN_OPEN = "retrain_open"
RETRAIN_CANCEL = "retrain_cancel"
RETRAIN_PROMOTE = "retrain_promote"
RETRAIN_KEEP = "retrain_keep"
RETRAIN_ROLLBACK = "retrain_rollback"
VERSION_ROLLBACK = "version_rollback"

ACTIONS = (
    INCIDENT_APPROVE,
    INCIDENT_SNOOZE,
    INCIDENT_CONFIRM,
    INCIDENT_DISMISS,
    INCIDENT_DETAILS,
    INCIDENT_SAMPLE,
    BATCH_QUARANTINE,
    BATCH_RELEASE,
    RETRAIN_OPEN,
    RETRAIN_CANCEL,
    RETRAIN_PROMOTE,
    RETRAIN_KEEP,
    RETRAIN_ROLLBACK,
    VERSION_ROLLBACK,
)

APPROVE_VIEW = "approve_retrain"
VIEWS = (APPROVE_VIEW,)
