"""The baseline learns the schema, says what it leaves out, and survives its file."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, DataError, check, profile_batch
from detectors.track_record import measure


@pytest.fixture
def odd(draw) -> pd.DataFrame:
    frame = draw(2000)
    rows = len(frame)
    frame["session"] = [f"id-{i}" for i in range(rows)]
    frame["day"] = [f"2017-07-{3 + i % 5:02d}" for i in range(rows)]
    frame["when"] = pd.date_range("2017-07-03", periods=rows, freq="min")
    frame["empty"] = np.nan
    frame["only_inf"] = math.inf
    frame["mixed"] = [str(i % 7) if i % 50 else "n.a." for i in range(rows)]
    frame["row"] = np.arange(rows)
    frame["port"] = np.resize([80, 443, 22], rows)
    frame["Label"] = np.resize(["BENIGN", "DDoS"], rows)
    return frame


def test_the_schema_is_learned_and_what_is_left_out_is_said(odd):
    baseline = Baseline.fit(
        odd, label="Label", ignore=["n4"], categorical=["port"], model="flows", version="1"
    )
    assert baseline.categorical == ("flag", "protocol", "port")
    assert baseline.numeric == (
        "n0",
        "n1",
        "n2",
        "n3",
        "heavy",
        "zeros",
        "count",
        "gaps",
        "constant",
        "mixed",
        "row",
    )
    assert set(baseline.ignored) == {"Label", "n4", "session", "day", "when", "empty", "only_inf"}
    for column, reason in {
        "session": "as an identifier has",
        "day": "holds dates",
        "when": "holds dates",
        "empty": "no finite values",
        "only_inf": "no finite values",
        "row": "counts the rows",
    }.items():
        assert any(f'"{column}"' in note and reason in note for note in baseline.notes), column
    assert baseline.features["mixed"].invalid == 40
    assert baseline.features["flag"].known == ("False", "True")
    assert baseline.features["port"].known == ("443", "80", "22")
    assert (baseline.rows, baseline.model, baseline.version) == (2000, "flows", "1")


def test_it_learns_the_same_from_a_frame_a_csv_and_parquet(tmp_path, odd):
    odd.to_csv(tmp_path / "t.csv", index=False)
    odd.to_parquet(tmp_path / "t.parquet")
    frames = [Baseline.fit(s, label="Label") for s in (odd, tmp_path / "t.csv", tmp_path / "t.parquet")]
    for other in frames[1:]:
        assert list(other.features) == list(frames[0].features)
        for name, part in frames[0].features.items():
            np.testing.assert_array_equal(part.cells, other.features[name].cells, err_msg=name)
    for source in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        profile = profile_batch(frames[0], source)
        assert profile.extra_columns == ()
        for name, part in profile.features.items():
            np.testing.assert_array_equal(part.cells, frames[0].features[name].cells, err_msg=name)


def test_several_files_are_one_reference(tmp_path, draw):
    one, two = draw(300, 1), draw(500, 2)
    one.to_csv(tmp_path / "1.csv", index=False)
    two.to_csv(tmp_path / "2.csv", index=False)
    together = Baseline.fit([tmp_path / "1.csv", tmp_path / "2.csv"])
    whole = Baseline.fit(pd.concat([one, two]))
    assert together.rows == 800
    for name, part in whole.features.items():
        np.testing.assert_array_equal(part.cells, together.features[name].cells, err_msg=name)


def test_it_survives_its_file(tmp_path, odd, draw):
    baseline = Baseline.fit(odd, label="Label", period="when", model="flows", version="1")
    path = tmp_path / "baseline.npz"
    baseline.save(path)
    again = Baseline.load(path)
    for name in ("model", "version", "created_at", "ignored", "notes", "rows", "numeric", "categorical"):
        assert getattr(again, name) == getattr(baseline, name)
    batch = draw(700, 9)
    assert check(again, batch) == check(baseline, batch)
    assert again.with_version("2").version == "2" and again.with_version("2").model == "flows"
    assert [p.name for p in tmp_path.iterdir()] == ["baseline.npz"]


def test_500_features_stay_below_5_mb(tmp_path):
    rng = np.random.default_rng(0)
    baseline = Baseline.fit(pd.DataFrame(rng.normal(0, 1, (3000, 500))).rename(columns=str))
    baseline.save(tmp_path / "b.npz")
    assert (tmp_path / "b.npz").stat().st_size < 5_000_000


def test_a_file_that_is_no_baseline(tmp_path, draw):
    with pytest.raises(DataError, match=r"nowhere\.npz"):
        Baseline.load(tmp_path / "nowhere.npz")
    (tmp_path / "b.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"b\.npz"):
        Baseline.load(tmp_path / "b.npz")
    (tmp_path / "p.npz").write_bytes(profile_batch(Baseline.fit(draw(50)), draw(50)).to_bytes())
    with pytest.raises(DataError, match="not a baseline"):
        Baseline.load(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("frame", "options", "kind"),
    [
        (pd.DataFrame({"a": []}), {}, "no_rows"),
        (pd.DataFrame({"a": [1.0, 2.0]}), {"label": "a"}, "columns"),
        (pd.DataFrame({"a": [1.0, 2.0]}), {"period": "day"}, "columns"),
    ],
)
def test_data_that_gives_no_baseline(frame, options, kind):
    with pytest.raises(DataError) as caught:
        Baseline.fit(frame, **options)
    assert caught.value.kind == kind


def seasonal(rows: int, seed: int, strength: float = 0.7) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    month = np.arange(rows) * 12 // rows
    return pd.DataFrame(
        {
            "x": rng.normal(strength * np.sin(month / 12 * 2 * np.pi), 1),
            "still": rng.normal(0, 1, rows),
            "month": [f"2020-{m + 1:02d}-15" for m in month],
        }
    )


def test_a_named_period_lifts_the_floor_to_the_natural_variation():
    reference = seasonal(12_000, 1)
    summer = pd.DataFrame(
        {
            "x": np.random.default_rng(2).normal(0.6, 1, 800),
            "still": np.random.default_rng(3).normal(0, 1, 800),
        }
    )
    blind, aware = Baseline.fit(reference, ignore=["month"]), Baseline.fit(reference, period="month")
    assert check(blind, summer).verdict == "drift"
    assert check(aware, summer).verdict == "stable"
    assert 0.1 < aware.features["x"].variation["psi"] <= 3.0
    assert not aware.features["still"].variation
    beyond = summer.assign(x=summer["x"] + 2.5)
    assert check(aware, beyond).verdict == "drift"


def test_the_order_of_rows_is_never_taken_for_time(draw):
    frame = draw(3000).sort_values("n0")
    assert all(not part.variation for part in Baseline.fit(frame).features.values())


def test_dates_with_some_other_cells_are_a_clock_and_identifiers_are_none(draw):
    frame = draw(5000)
    days = pd.date_range("2017-07-03", periods=5000, freq="min").astype(str)
    frame["every_20th_is_none"] = [day if i % 20 else "unknown" for i, day in enumerate(days)]
    frame["a_third_are_none"] = [day if i % 3 else "unknown" for i, day in enumerate(days)]
    frame["id"] = [f"{k:016x}" for k in np.random.default_rng(1).integers(0, 2**62, 5000)]
    assert set(Baseline.fit(frame).clocks) == {"every_20th_is_none"}


def test_a_baseline_of_500_features_of_noise_is_a_small_file(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(8_000, 500)), columns=[f"f{i}" for i in range(500)])
    baseline = Baseline.fit(frame)

    def champion(rows):
        score = 1 / (1 + np.exp(-rows["f0"].to_numpy()))
        return (score > 0.5).astype(int), score

    record = measure(list(baseline.features.values()), frame, random.integers(0, 2, len(frame)), champion)
    replace(baseline, record=record).save(tmp_path / "b.npz")
    assert (tmp_path / "b.npz").stat().st_size < 5_000_000
    reference = baseline.features["f1"]
    exact = np.sort(frame["f1"].to_numpy())
    np.testing.assert_array_equal(
        reference.at_most, np.searchsorted(exact, reference.grid, "right")
    )  # counted at the points as they are kept
    assert reference.grid[0] == exact[0] and reference.grid[-1] == exact[-1]
    assert np.isin(reference.edges, exact).all()
