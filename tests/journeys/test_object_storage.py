"""The loop with all of its data in a bucket: base data, inbox, labelled files and baselines."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import labelling
from bot.workspace import Workspace
from detectors.objects import ObjectPath
from state.records import Trained
from tests.journeys.stage import ANNA, MODEL, Files, Site, Template, alerts, configuration, train_template
from tests.journeys.test_slack_journey import (
    a_drifted_batch_is_one_alert,
    a_retrain_is_approved_and_reports,
    a_stable_batch_is_quiet,
    commands_answer,
    labels_arrive,
    the_new_version_is_promoted_and_taken_back,
    without_labels_the_form_says_what_to_do,
)
from tests.s3 import ENVIRONMENT, S3, upload


class BucketSite(Site):
    """Batches and labelled files arrive in the bucket."""

    def __init__(
        self, template: Template, folder: Path, slack: Workspace, config: str, bucket: ObjectPath
    ) -> None:
        super().__init__(template, folder, slack, config)
        self.bucket = bucket

    def drop(self, file: Path, model: str = MODEL) -> str:
        return upload(file, self.bucket / "inbox" / model).name

    def bring_labels(self, model: str = MODEL) -> None:
        upload(self.files.labelled, self.bucket / "labeled" / model)


def test_from_a_drifted_object_to_the_way_back(
    s3: S3, bucket: ObjectPath, embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "RELIST", 0.0)  # nobody waits a minute for the labels to be seen
    model = {
        "inbox": f"{bucket}/inbox/{MODEL}",
        "labeled": f"{bucket}/labeled/{MODEL}",
        "expect_rows": 100_000,
    }
    config = f'baselines = "{bucket}/baselines"\n{configuration(model=model)}'
    (tmp_path / "template").mkdir()
    base = upload(Files(tmp_path / "template" / "data").base, bucket / "base")
    template = train_template(tmp_path / "template", config, base)
    template.files.base.unlink()  # from now on the bucket's is the only one

    site = BucketSite(template, tmp_path / "site", embedded, config, bucket)
    try:
        site.start()
        anna = site.person(ANNA)
        a_stable_batch_is_quiet(site, anna)
        a_drifted_batch_is_one_alert(site, anna)
        commands_answer(site, anna)
        without_labels_the_form_says_what_to_do(anna)
        labels_arrive(site, anna)
        a_retrain_is_approved_and_reports(site, anna)
        the_new_version_is_promoted_and_taken_back(site, anna)
        site.settled()
        assert len(alerts(anna)) == 1
        everything_is_in_the_bucket(site, bucket)
    finally:
        site.close()
    no_secret_was_written(tmp_path)


def everything_is_in_the_bucket(site: Site, bucket: ObjectPath) -> None:
    versions: tuple[Trained, ...] = site.app.store.versions(MODEL)
    assert sorted(v.record.baseline_path for v in versions) == [
        f"{bucket}/baselines/{MODEL}/v{number}/baseline.npz" for number in (1, 2)
    ]
    (second,) = (v.record for v in versions if v.record.version == 2)
    assert [file.path for file in second.data] == [
        f"{bucket}/base/base.csv",
        f"{bucket}/labeled/{MODEL}/labelled.csv",
    ]
    batch = site.app.store.last_batch(MODEL)
    assert batch is not None
    assert batch.path.startswith(f"{bucket}/inbox/{MODEL}/")
    assert not (site.folder / "inbox").exists()


def no_secret_was_written(folder: Path) -> None:
    secret = ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode()
    for file in folder.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file
