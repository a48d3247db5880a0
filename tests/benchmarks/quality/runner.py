"""Runs the scenarios and counts. Every trial is seeded by its own number, so any row can be run again alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from tests.benchmarks.quality.champions import HarmScenario
from tests.benchmarks.quality.harm import SCENARIOS, estimates_chunk, harm_chunk
from tests.benchmarks.quality.judges import OURS, Judge, Trial
from tests.benchmarks.quality.peers import PeerJudge
from tests.benchmarks.quality.population import Pool, frame_of, make_pool
from tests.benchmarks.quality.real import FOLDER, real_chunk, real_harm_chunk
from tests.benchmarks.quality.scenarios import DRIFT, IMMATERIAL, NO_DRIFT, PERIODS, Scenario, Season, seasons
from tests.benchmarks.quality.unseen import TABLES, unseen_chunk

REFERENCE_ROWS = 10_000
PERIOD = "period"
_SMALL_POOL, _LARGE_POOL = 60_000, 115_000
_REFERENCES_PER_POOL = 10
SCENARIOS_OF: Mapping[str, tuple[Scenario, ...]] = {
    "false alarms": (NO_DRIFT,),
    "immaterial": IMMATERIAL,
    "detection": DRIFT,
}
SHORT_SECTIONS = ("false alarms", "seasons", "immaterial", "detection", "harm", "real data")
SECTIONS = (*SHORT_SECTIONS, "unseen data")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is run.

    Attributes:
        no_drift: (features, rows of a batch) -> batches.
        season_rows / season_batches: sizes of seasonal batches, and how many of each.
        season_kinds: which of `seasons`.
        immaterial_rows / immaterial_batches: the same for each immaterial shift.
        detection_rows / detection_batches: the same for each drift.
        champions / harm_rows / harm_batches: models, size and number of batches of each scenario and model.
        harm_scenarios: what happens to their batches.
        real_rows / real_batches: the same for real data, seen and unseen.
        reference_rows: of seasons and champions; all others have 10,000.
        per_reference: batches that are judged against one reference; then a new one is drawn.
        sections: which of `SECTIONS` are run.
    """

    no_drift: dict[tuple[int, int], int]
    season_rows: tuple[int, ...] = (200, 1_000)
    season_batches: int = 20
    season_kinds: tuple[int, ...] = (0, 1, 2, 3, 4)
    immaterial_rows: tuple[int, ...] = (200, 1_000, 10_000)
    immaterial_batches: int = 10
    detection_rows: tuple[int, ...] = (200, 1_000)
    detection_batches: int = 5
    champions: int = 2
    harm_rows: int = 1_000
    harm_batches: int = 6
    harm_scenarios: tuple[HarmScenario, ...] = SCENARIOS
    real_rows: tuple[int, ...] = (50, 200, 1_000, 2_000)
    real_batches: int = 20
    reference_rows: int = REFERENCE_ROWS
    per_reference: int = 5
    sections: tuple[str, ...] = SHORT_SECTIONS


SHORT = Plan(
    no_drift={
        (10, 50): 60, (10, 200): 20, (10, 1_000): 10,
        (40, 50): 100, (40, 100): 100, (40, 200): 40, (40, 500): 20, (40, 1_000): 20, (40, 10_000): 5,
        (40, 100_000): 2,
        (500, 50): 10, (500, 200): 4, (500, 1_000): 2,
    },
    season_batches=5,
    immaterial_batches=2,
    detection_batches=3,
    harm_batches=3,
    real_rows=(50, 200, 1_000),
    real_batches=10,
)  # fmt: skip
LONG = Plan(
    no_drift={
        **{(f, n): 1_000 for f in (40, 500) for n in (50, 100, 200, 500, 1_000)},
        **{(10, n): 300 for n in (50, 100, 200, 500, 1_000, 10_000)},
        **{(f, n): 200 for f in (40, 500) for n in (10_000, 100_000)},
        (10, 100_000): 50,
    },
    season_rows=(200, 1_000, 10_000),
    season_batches=100,
    immaterial_rows=(200, 1_000, 10_000, 100_000),
    immaterial_batches=40,
    detection_batches=50,
    champions=10,
    harm_batches=12,
    real_rows=(50, 100, 200, 500, 1_000, 2_000),
    real_batches=200,
    per_reference=10,
    sections=SECTIONS,
)
TINY = Plan(
    no_drift={(10, 50): 4, (10, 200): 2},
    season_rows=(100,),
    season_batches=1,
    season_kinds=(0,),
    immaterial_rows=(100,),
    immaterial_batches=1,
    detection_rows=(100,),
    detection_batches=1,
    champions=1,
    harm_rows=150,
    harm_batches=1,
    harm_scenarios=(SCENARIOS[0], SCENARIOS[2], SCENARIOS[-1]),
    real_rows=(100,),
    real_batches=2,
    reference_rows=3_000,
    per_reference=2,
)


@lru_cache(maxsize=1)
def _pool(features: int, rows: int, seed: int) -> Pool:
    return make_pool(features, rows, seed)


def pool_of(features: int, rows: int, seed: int) -> Pool:
    """The pool of a reference: shared by some references, and large enough for batches of so many rows."""
    return _pool(features, _SMALL_POOL if rows <= 10_000 else _LARGE_POOL, seed // _REFERENCES_PER_POOL)


def draw(
    scenario: Scenario, pool: Pool, fresh: np.ndarray, rows: int, random: np.random.Generator
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A batch of `fresh` rows to which the scenario has happened, and the features that drifted."""
    if scenario.weight is None:
        chosen = random.choice(fresh, rows, replace=False)
    else:
        weight = scenario.weight(pool)[fresh]
        chosen = random.choice(fresh, rows, replace=False, p=weight / weight.sum())
    columns = pool.take(chosen)
    drifted = tuple(dict.fromkeys(scenario.change(columns, pool, random)))
    return frame_of(columns), drifted


def scenario_chunk(
    judge: Judge,
    section: str,
    features: int,
    rows: int,
    batches: int,
    seed: int,
) -> list[Trial]:
    """One reference, and so many batches of each scenario of the section (found here: no process can be sent one)."""
    scenarios = SCENARIOS_OF[section]
    random = np.random.default_rng([seed, features, rows])
    pool = pool_of(features, rows, seed)
    order = random.permutation(pool.rows)
    reference, fresh = frame_of(pool.take(order[:REFERENCE_ROWS])), order[REFERENCE_ROWS:]
    todo = [scenario for scenario in scenarios for _ in range(batches)]
    truths: list[tuple[str, ...]] = []

    def drawn() -> Iterator[pd.DataFrame]:
        for scenario in todo:
            frame, drifted = draw(scenario, pool, fresh, rows, random)
            truths.append(drifted if scenario.named and scenario.kind == "drift" else ())
            yield frame

    said = judge.judge(reference, drawn())
    return [
        Trial(section, s.name, features, rows, s.kind == "drift", j, truth, seed=seed)
        for s, j, truth in zip(todo, said, truths, strict=True)
    ]


def season_chunk(
    judge: Judge, kind: int, features: int, size: int, rows: int, batches: int, seed: int
) -> list[Trial]:
    """One reference of so many rows in 20 periods; calm batches of another, and some with a true drift on top."""
    random = np.random.default_rng([seed, features, rows, 5, kind])
    pool = pool_of(features, rows, seed)
    season = seasons(pool, random)[kind]
    order = random.permutation(pool.rows)
    columns = pool.take(order[:size])
    period = np.sort(random.integers(0, PERIODS, size))
    season.apply(columns, pool, season.offsets[period])
    reference = frame_of(columns).assign(**{PERIOD: period.astype(np.float64)})
    fresh = order[size:]
    calm = [_seasonal(season, pool, fresh, rows, random) for _ in range(batches)]
    steady = [name for name in pool.of("normal") if name not in season.features]
    few, drifts = range(max(1, batches // 4)), [drift for drift in DRIFT if drift.weight is None]
    moved = [_seasonal(season, pool, fresh, rows, random, steady) for _ in few]
    drifted = [drifts[(len(few) * seed + k + 5 * kind) % len(drifts)] for k in few]
    beyond = [_seasonal(season, pool, fresh, rows, random, drift=drift) for drift in drifted]
    names = [season.name] * len(calm) + ["a shift of 1 sd on top of a season"] * len(moved)
    names += [f"{season.name}, with one of the drifts"] * len(beyond)
    return [
        Trial("seasons", name, features, rows, k >= len(calm), judgement, seed=seed)
        for k, (name, judgement) in enumerate(
            zip(names, judge.judge(reference, calm + moved + beyond, PERIOD), strict=True)
        )
    ]


def _seasonal(
    season: Season,
    pool: Pool,
    fresh: np.ndarray,
    rows: int,
    random: np.random.Generator,
    shifted: Sequence[str] = (),
    drift: Scenario | None = None,
) -> pd.DataFrame:
    columns = pool.take(random.choice(fresh, rows, replace=False))
    season.apply(columns, pool, season.batch(random))
    if shifted:
        name = str(random.choice(np.array(shifted)))
        columns[name] = columns[name] + pool.scale[name]
    if drift is not None:
        drift.change(columns, pool, random)
    return frame_of(columns)


Task = Callable[[], list[Trial]]


def tasks(plan: Plan, judge: Judge, seed: int = 1) -> list[Task]:
    """Everything that the plan asks for, as independent pieces."""
    found: list[Task] = []

    def spread(total: int) -> Iterator[tuple[int, int]]:
        """Seed and number of batches of each reference."""
        for k in range(0, total, plan.per_reference):
            yield seed * 10_000 + k // plan.per_reference, min(plan.per_reference, total - k)

    if "false alarms" in plan.sections:
        for (features, rows), batches in plan.no_drift.items():
            for number, some in spread(batches):
                found.append(partial(scenario_chunk, judge, "false alarms", features, rows, some, number))
    if "seasons" in plan.sections:
        for rows in plan.season_rows:
            for kind in plan.season_kinds:
                for number, some in spread(plan.season_batches):
                    found.append(
                        partial(season_chunk, judge, kind, 40, plan.reference_rows, rows, some, number)
                    )
    for section, sizes, batches in (
        ("immaterial", plan.immaterial_rows, plan.immaterial_batches),
        ("detection", plan.detection_rows, plan.detection_batches),
    ):
        if section in plan.sections:
            for rows in sizes:
                for number in range(batches):  # a reference for each round of all scenarios
                    found.append(partial(scenario_chunk, judge, section, 40, rows, 1, seed * 10_000 + number))
    if judge.name == OURS and "harm" in plan.sections:
        for number in range(plan.champions):
            found.append(
                partial(
                    harm_chunk,
                    plan.harm_rows,
                    plan.harm_batches,
                    seed * 10_000 + number,
                    plan.reference_rows,
                    plan.harm_scenarios,
                )
            )
        if FOLDER.is_dir() and "real data" in plan.sections:
            for number in range(max(1, plan.champions // 3)):
                found.append(
                    partial(real_harm_chunk, plan.harm_rows, plan.harm_batches, seed * 10_000 + number)
                )
    if isinstance(judge, PeerJudge) and judge.peer.estimates and "harm" in plan.sections:
        for number in range(plan.champions):
            found.append(
                partial(
                    estimates_chunk,
                    judge,
                    plan.harm_rows,
                    plan.harm_batches,
                    seed * 10_000 + number,
                    plan.reference_rows,
                    plan.harm_scenarios,
                )
            )
    if "real data" in plan.sections and FOLDER.is_dir():
        for rows in plan.real_rows:
            for number, some in spread(plan.real_batches):
                found.append(partial(real_chunk, judge, rows, some, number))
    if "unseen data" in plan.sections:
        for which in TABLES:
            for rows in plan.real_rows:
                for number, some in spread(plan.real_batches):
                    found.append(partial(unseen_chunk, judge, which, rows, some, number))
    return found


def _call(task: Task) -> list[Trial]:
    return task()


def run(
    todo: Sequence[Task], jobs: int = 1, told: Callable[[str], None] = lambda text: None
) -> Iterable[Trial]:
    """The trials of all tasks, as they are finished, in the order of the tasks."""
    started = time.monotonic()
    if jobs <= 1:
        for k, task in enumerate(todo):
            yield from task()
            told(f"{k + 1} of {len(todo)} pieces, {time.monotonic() - started:.0f} s")
        return
    with ProcessPoolExecutor(jobs) as workers:
        for k, trials in enumerate(workers.map(_call, todo)):
            yield from trials
            told(f"{k + 1} of {len(todo)} pieces, {time.monotonic() - started:.0f} s")
