"""Versions without a lineage, from an earlier release, and with much to tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot import lineage
from state.records import StateError
from tests.bot.conftest import version_record
from trainers.lineage import DvcRevision, Lineage, Origin, Revision, Source

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


def test_a_version_of_an_earlier_release_tells_what_is_known(watched) -> None:
    text = lineage.lineage_text(lineage.read(watched.app.store, "netflow", 1))
    assert "netflow version 1, trained 2" in text
    assert "was not kept when it was trained, by an earlier release" in text
    assert "data         " in text
    assert "version 1, " in text
    assert "made champion by test" in text
    with pytest.raises(StateError, match="netflow has no version 2; its versions: 1"):
        lineage.read(watched.app.store, "netflow", 2)


def test_dvc_revisions_commits_and_reasons_are_told(watched, baseline, traffic) -> None:
    dvc = DvcRevision("/p/base.csv.dvc", "ab" * 16, "f" * 40, False)
    made = Lineage(
        kind="retrain",
        parent=1,
        project=Revision("c" * 40, dirty=True),
        code="driftcatcher 0.1.0",
        sources=(
            Source("/p/base.csv", "1" * 64, 10, "old", dvc),
            Source("/p/new.csv", "2" * 64, 5, "new", replace(dvc, commit="", matches=None)),
        ),
        configuration={"label": {"column": "y", "negative": ["a", "b"]}, "gate": {"max_loss_old": 0.01}},
        environment={"python": "3.11.9", "OMP_NUM_THREADS": ""},
        origin=Origin(by="U0ANNA", why="two days of it", at="2026-11-28T10:00:00+00:00"),
    )
    record = replace(version_record(baseline, traffic.base, version=2), lineage=made)
    watched.app.store.add_version(record, NOW)
    text = lineage.lineage_text(lineage.read(watched.app.store, "netflow", 2))
    for words in (
        f"git {'c' * 40}, with changes that are not committed",
        f"DVC {'ab' * 16} by base.csv.dvc, at git {'f' * 40}, but the file is not that content",
        "not committed\n",
        "labels       column y, negative a/b",
        "environment  python 3.11.9\n",
        "asked for by U0ANNA at 2026-11-28T10:00:00+00:00: two days of it",
        "version 2, 2026-11-28: from version 1 and new.csv (5 rows)",
    ):
        assert words in text, (words, text)
