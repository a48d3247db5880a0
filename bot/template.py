"""`driftcatcher init`: a configuration that explains itself, and the folders it names."""

from __future__ import annotations

from pathlib import Path

from bot.config import FILE_NAME

TEMPLATE = """\
# DriftCatcher. Paths are relative to this file; inbox, labeled and baselines may be URLs (s3://bucket/…, gs://, abfs://),
# with the extra for it: pip install "driftcatcher[s3]". Durations: "30m", "6h", "7d".
# Secrets are never in here: SLACK_BOT_TOKEN, SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP)
# come from the environment.

home = ".driftcatcher"            # state.db, models and their baselines, the MLflow store
# baselines = "s3://bucket/baselines"   # checks read the baselines there, not in `home`
# settle_seconds = 2              # a file in an inbox counts as finished when it has not changed for so long
# engine = "dask"                 # batches that are folders of parts are counted, and random forests trained, on the
# scheduler = "tcp://10.0.0.5:8786"    # workers of this Dask scheduler: `pip install 'driftcatcher[dask]'`. They must
#                                 # have driftcatcher and see the files under the same paths. tls:// takes its
#                                 # certificates from Dask's own configuration

[slack]
channel = "ml-alerts"             # invite the bot to it
approvers = []                    # user ids (U…) or user-group ids (S…); nobody may approve until you name them
mode = "socket"                   # or "http", with host and port; Slack then calls https://YOURS/slack/events
command = "/drift"

[mlflow]
# tracking_uri = "http://127.0.0.1:5000"     # default: a SQLite store in `home`
# ui_url = "http://127.0.0.1:5000"           # where people open run links
# log_checks = "steps"            # each check is a step of its version's run "monitoring v3" and no run of its own, or
#                                 # "off"; default "runs": both. The bot logs them beside its work, or from a terminal
#                                 # `driftcatcher mlflow --sync`; no check waits for it

[history]
# roll_up_after = "365d"          # of older checks only verdict and scores are kept; default: everything for ever

[training]
# side_by_side = 2                # retrains at a time, of different models; each may use all cores and its memory

[[models]]                        # repeat this block for each deployed model
name = "my-model"
inbox = "inbox/my-model"          # a folder, or a glob such as "exports/*.parquet"
labeled = "labeled/my-model"      # labelled files for retraining go here
ignore = []                       # columns that are no features: identifiers, timestamps
# categorical = ["Protocol"]      # columns that are categories although they look like numbers
# period = "week"                 # a column that names the period: variation between periods is no drift
schedule = "1h"                   # or cron, in UTC: "0 7 * * 1-5"

policy = "calibrated"             # or "classic": mean PSI > 0.1 alerts, > 0.2 recommends a retrain
# alpha = 0.008                   # calibrated: family-wise error over all features (Holm)
# joint_alpha = 0.005             # the same for what looks at all features together; the rank correlation, by its
#                                 # 1,999 random deals, cannot reach less than 0.002
# scoring = false                 # do not let the champion score each batch: its score is not watched, and what
#                                 # the batch has cost it is not estimated
# creep = false                   # do not warn of what moves slowly, below the threshold in each batch
alert_on = "warning"              # or "drift": alert on significant drift only
alert_cooldown = "6h"
retrain_cooldown = "24h"
# retrain_limit = "6h"            # a training that takes longer is ended
# retrain_memory_mb = 8000        # and one that needs more memory, beyond what the libraries take; default: no limit
# expect_rows = 500_000           # with more labelled rows the form does not estimate what a retrain would bring
# shadow_batches = 5              # a retrained version scores so many next batches beside the champion, without being
#                                 # used, while its decision waits; the thread shows where they differ. Default: 0, none
# detector_limit = "30s"          # time for each detector that is not built in, which runs by itself
# detector_memory_mb = 1024       # and its memory
# channel = "team-fraud"          # this model's own channel and approvers
# approvers = ["U0123ABCD"]

[models.label]
column = "label"
negative = ["0"]                  # these values are class 0; everything else is class 1
# positive = ["1"]                # or name the positive ones, or both
# classes = ["a", "b", "c"]       # or instead of both every class: each counts by itself, none may be forgotten, and
#                                 # more may be named later; the model predicts positions
# group = "host"                  # rows of one host are held out together or not at all; it is no feature

[models.detectors.psi]            # a table switches a detector on
moderate = 0.1
significant = 0.2

[models.detectors.domain_classifier]   # all features together
[models.detectors.correlation]         # has any two features' going together changed?

# [models.detectors.ks]           # Kolmogorov–Smirnov beside PSI, under the same correction; there are also
#                                 # chi_square, jensen_shannon, wasserstein, missing_share, unseen_category,
#                                 # out_of_range (see `driftcatcher detectors`)

# [models.features."Dst Port"]    # thresholds of one feature
# moderate = 0.2
# significant = 0.4

[models.trainer]
use = "hist_gradient_boosting"    # or random_forest, logistic_regression, a trainer "package.module:Class", or any
                                  # classifier of scikit-learn: "sklearn.ensemble:ExtraTreesClassifier"
# seed = 0                        # of whatever is random; recorded with the version
# calibrate = "isotonic"          # or "sigmoid", for few rows: probabilities that hold what they say
# trusted = []                    # types that the model file may hold beside the usual ones

# [models.trainer.search]         # better parameters, by cross-validation on the training rows alone
# params = { max_leaf_nodes = [15, 31, 63], learning_rate = { low = 0.02, high = 0.3, log = true } }
# budget = "10m"                  # then the best so far is taken, and a note says so
# trials = 20

# [models.mix]                    # which of the old and new rows a version is fitted on; default: all
# use = "recent"                  # an era half_life = 2.0 eras old gives half of its rows; or "capped": at most
#                                 # old_per_new = 10.0 old rows for each new one; or "balanced": as many of each class

[models.gate]                     # what a new version must show before promotion is recommended
max_loss_old = 0.01               # largest loss on the old hold-out, and on that of any past era: one point
# new = "not_worse"               # on new rows: no such loss is enough. Default "better": a gain that is hardly chance
# min_accuracy = 0.90

[models.performance]              # labelled predictions outside these bounds alert
min_accuracy = 0.90
min_precision = 0.85
min_recall = 0.85
max_fpr = 0.10                    # of two classes alone, as max_fnr
max_fnr = 0.05
# every_class = true              # each class counts by itself, though the model tells two apart; limits are for the
#                                 # macro averages. Always so with `classes`

# [models.serving]                # who is handed each new champion, beside the registry
# folder = "serving/my-model"     # gets the model file, and champion.json that names it
# webhook = "https://deploy.example.org/hook"    # is told by POST; signed if DRIFTCATCHER_WEBHOOK_SECRET is set
"""


def write(folder: Path, *, force: bool = False) -> Path:
    """Write the configuration and its folders; FileExistsError where one is there and `force` is not given."""
    path = (folder / FILE_NAME).absolute()
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists already; --force overwrites it")
    for name in ("inbox/my-model", "labeled/my-model"):
        (path.parent / name).mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, encoding="utf-8")
    return path
