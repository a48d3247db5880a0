"""Drills on a real store, real files and the code that judges batches: rates that are known are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot import drilling
from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.drilling import VERDICT, Cell, Drill
from bot.drilling_text import as_dict, drill_plot, drill_text
from detectors.baseline import Baseline
from detectors.digest import sha256_file
from detectors.drill import DRIFTS, NONE, Drift
from tests.bot.conftest import crown
from trainers.base import DataFile, ModelVersion, TrainingError
from trainers.dataset import build

CONFIGURATION = """\
home = "home"
[[models]]
name = "netflow"
label = { column = "y", negative = ["0"] }
[models.detectors.psi]
[models.detectors.ks]
"""


def rows(number: int = 3000, seed: int = 1) -> pd.DataFrame:
    """Normal features of which two go together, words, and a label that shows in one of them."""
    rng = np.random.default_rng(seed)
    y = (rng.random(number) < 0.3).astype(int)
    one = rng.normal(100, 10, number)
    return pd.DataFrame(
        {
            "one": one,
            "two": one + rng.normal(0, 3, number),
            "told": rng.normal(10 + 3 * y, 1, number),
            "word": rng.choice(["tcp", "udp", "icmp"], number),
            "y": y,
        }
    )


@dataclass(frozen=True)
class Site:
    """A model whose baseline was made of the training side of its file, as a training does."""

    app: Application
    folder: Path

    def drill(self, **options: Any) -> Drill:
        return drilling.drill(self.app.store, self.app.config.model(None), **options)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    base = tmp_path / "base.csv"
    rows().to_csv(base, index=False)
    (tmp_path / FILE_NAME).write_text(CONFIGURATION)
    app = Application.load(tmp_path / FILE_NAME)
    spec = app.config.model(None).label_spec()
    built = build([base], (), spec)
    fitted = tmp_path / "baseline.npz"
    Baseline.fit(built.train_x, label="y", version="1").save(fitted)
    record = ModelVersion(
        model="netflow", version=1, run_id="run", run_url="", model_uri="models:/none", artifact_sha256="",
        baseline_path=str(fitted), baseline_sha256=sha256_file(fitted),
        data=(DataFile(str(base), sha256_file(base), 3000),), evaluations=(), trainer="t", schema=built.schema,
    )  # fmt: skip
    crown(app, record)
    yield Site(app, tmp_path)
    app.close()


def rate(found: Drill, kind: str, size: float, rows: int, by: str = VERDICT) -> float:
    (cell,) = [c for c in found.cells if (c.drift.kind, c.drift.size, c.rows, c.by) == (kind, size, rows, by)]
    return cell.rate


def test_what_must_be_noticed_is_and_what_cannot_be_is_not(site: Site) -> None:
    said: list[str] = []
    found = site.drill(sizes=(100, 400), repeats=6, progress=said.append)
    assert found.judges == ("psi", "ks", VERDICT)
    assert found.drifts == (NONE, *DRIFTS)
    for rows_ in (100, 400):
        assert rate(found, "none", 0, rows_) <= 0.03  # 3 of 100 at alpha 0.008: once in some hundred thousand
        assert rate(found, "missing", 0.2, rows_) == rate(found, "new category", 0.3, rows_) == 1
        assert rate(found, "unit", 1, rows_) == rate(found, "shift", 1, rows_) == 1
        assert rate(found, "missing", 0.2, rows_, "ks") == 0, "KS looks at values only"
        assert rate(found, "correlation", 1, rows_) == 0, "no feature moves by itself"
    assert rate(found, "prior", 10, 400) == 1, "the label shows in a feature"
    assert rate(found, "shift", 0.25, 400) <= rate(found, "shift", 1, 400)
    news = [drift for drift in DRIFTS if drift.kind == "new category"]
    assert [cell.applies for new in news if (cell := found.cell(new, 400, "ks"))] == [False] * 3
    assert found.source.endswith("hold-out rows of netflow version 1")
    assert 800 < found.pool < 1000
    assert "batches of 400 rows, 2 of 2 sizes" in said
    assert any("Batches of 400 rows share many of the" in note for note in found.notes)
    assert site.app.store.checked_batches("netflow") == (), "nothing is stored"


def test_the_same_drill_gives_the_same_answer(site: Site) -> None:
    assert site.drill(sizes=(60,), repeats=2).cells == site.drill(sizes=(60,), repeats=2).cells


def test_a_batch_too_small_to_judge_is_called_so(site: Site) -> None:
    found = site.drill(sizes=(8,), repeats=2)
    assert any("the verdict was insufficient_data in" in note for note in found.notes), found.notes
    assert "insufficient_data" not in " ".join(site.drill(sizes=(400,), repeats=2).notes)


def test_without_the_champions_files_another_one_does(site: Site) -> None:
    (site.folder / "base.csv").rename(site.folder / "moved.csv")
    with pytest.raises(TrainingError, match=r"base\.csv is gone .* name a file like it: --data FILE"):
        site.drill(sizes=(50,), repeats=2)
    same = site.drill(sizes=(50,), repeats=2, data=site.folder / "moved.csv")
    assert same.source == f"{same.pool} rows of moved.csv that are never trained on"
    few = site.folder / "few.csv"
    rows(150, seed=9).drop(columns="y").to_csv(few, index=False)
    bare = site.drill(sizes=(50, 200), repeats=2, data=few)
    assert bare.source == "150 rows of few.csv"
    notes = " ".join(bare.notes)
    assert "may be ones that the baseline was made of" in notes
    assert "Not tried: prior, since the rows have no labels of both classes." in notes
    assert "in batches of 200 rows they come several times" in notes
    assert "prior" not in {drift.kind for drift in bare.drifts}


@pytest.mark.parametrize(("hits", "tries", "bound"), [(0, 100, 1 - 0.05**0.01), (1, 1, 1.0), (5, 5, 1.0)])
def test_the_bound_in_closed_form(hits: int, tries: int, bound: float) -> None:
    assert Cell(NONE, 10, "psi", hits, tries).upper == pytest.approx(bound)


def test_the_bound_is_exact() -> None:
    """At the bound, so few hits come with a chance of 5 %: that is what it means."""
    from scipy.stats import binom

    assert binom.cdf(7, 60, Cell(NONE, 10, "psi", 7, 60).upper) == pytest.approx(0.05)


def made(*cells: Cell, judges: tuple[str, ...] = ("psi", VERDICT)) -> Drill:
    sizes = tuple(dict.fromkeys(c.rows for c in cells))
    return Drill("m$x$", 3, 80, "900 hold-out rows", 900, sizes, judges, cells, ("A note.",))


def cells(rows_: int, hits: int) -> list[Cell]:
    shift = Drift("shift", 0.5, "0.5 SD")
    return [
        Cell(NONE, rows_, "psi", 0, 100),
        Cell(NONE, rows_, VERDICT, 2, 100),
        Cell(shift, rows_, "psi", 0, 20, applies=False),
        Cell(shift, rows_, VERDICT, hits, 20),
    ]


def test_the_table_in_full() -> None:
    found = made(*cells(200, 3), *cells(1000, 20))
    assert drill_text(found) == (
        "m$x$: what would be noticed? Share of the batches in which it was, 20 batches a number.\n"
        "Drawn from 900 hold-out rows; 80 features, each drift in one of them drawn at random.\n"
        "\n"
        f"{'200 rows':>37}{'1,000 rows':>16}\n"
        f"{'psi':>28}{'verdict':>9}{'psi':>7}{'verdict':>9}\n"
        f"none (100 batches)  {'0 %':>8}{'2.0 %':>9}{'0 %':>7}{'2.0 %':>9}\n"
        f"  at most (95 % sure){'3.0 %':>7}{'6.2 %':>9}{'3.0 %':>7}{'6.2 %':>9}\n"
        "\n"
        f"shift         0.5 SD{'–':>8}{'15 %':>9}{'–':>7}{'100 %':>9}\n"
        "\n"
        "Noticed in fewer than 80 % of batches of 200 rows: shift (0.5 SD).\n"
        "Noticed in fewer than 80 % of batches of 1,000 rows: nothing that was tried.\n"
        "A note."
    )
    told = as_dict(found)["cells"]
    assert told[2]["rate"] is None
    assert told[3] == {
        "drift": "shift", "size": 0.5, "rows": 200, "by": VERDICT, "noticed": 3, "batches": 20, "rate": 0.15,
    }  # fmt: skip


def test_the_picture_is_a_png_for_any_names_and_sizes() -> None:
    many = [
        Cell(d, n, by, 1, 20) for n in (50, 200, 1000) for d in (NONE, *DRIFTS) for by in ("a_b", VERDICT)
    ]
    for found in (made(*cells(200, 3)), made(*many, judges=("a_b", VERDICT))):
        assert drill_plot(found)[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_command(site: Site, run: Callable[..., Any]) -> None:
    ran = run(site.folder, "drill", "--rows", "60", "--repeats", 2, "--out", "picture.png")
    assert ran.code == 0
    assert ran.out.startswith("netflow: what would be noticed?")
    assert "batches of 60 rows" in ran.err
    assert (site.folder / "picture.png").read_bytes()[:4] == b"\x89PNG"
    told = run(site.folder, "drill", "--rows", "60", "--repeats", 2, "--json").json
    assert {cell["by"] for cell in told["cells"]} == {"psi", "ks", VERDICT}
    for words, said in (
        (("--rows", "many"), 'give numbers of rows such as "200,1000"'),
        (("--rows", "1"), "from 2 to 1,000,000 rows"),
        (("--out", "no/where.png"), "there is no folder"),
        (("--data", "none.csv"), "none.csv"),
    ):
        refused = run(site.folder, "drill", *words)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err


def test_a_model_without_a_version_is_told_what_to_do(tmp_path: Path, run: Callable[..., Any]) -> None:
    (tmp_path / FILE_NAME).write_text(CONFIGURATION)
    refused = run(tmp_path, "drill")
    assert refused.code == 2
    assert "has no trained version yet" in refused.err
