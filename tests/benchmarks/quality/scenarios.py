"""What happens to a batch: scenarios with known truth, from nothing at all to what any monitor must see.

None of them was chosen by what our rule sees. Sizes are those the field calls small, medium and large (0.02 to
0.05 standard deviations is immaterial; half a standard deviation is not), and each scenario knows which features
it moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tests.benchmarks.quality.population import Pool

Kind = Literal["none", "immaterial", "season", "drift"]
Columns = dict[str, np.ndarray]
# Changes the columns of a batch in place and says which features have truly drifted.
Change = Callable[[Columns, Pool, np.random.Generator], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that happens to a batch.

    Attributes:
        name: as it stands in the table.
        kind: whether an alarm is right.
        change: does it.
        named: whether single features can be blamed (a lost correlation leaves each of them as it was).
        weight: how likely each row of the pool is drawn, where not evenly; shape (rows,).
    """

    name: str
    kind: Kind
    change: Change
    named: bool = True
    weight: Callable[[Pool], np.ndarray] | None = None


def _pick(random: np.random.Generator, names: Sequence[str], most: int) -> list[str]:
    return sorted(random.choice(np.array(names), min(most, len(names)), replace=False).tolist())


def shift(sizes: float, families: Sequence[str], most: int) -> Change:
    """Add so many standard deviations, up or down, to some features."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of(*families), most)
        for name in chosen:
            columns[name] = columns[name] + sizes * pool.scale[name] * random.choice([-1, 1])
        return chosen

    return change


def scale(factor: float, most: int) -> Change:
    """Stretch normals about their median."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("normal"), most)
        for name in chosen:
            columns[name] = pool.centre[name] + factor * (columns[name] - pool.centre[name])
        return chosen

    return change


def _none(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
    return ()


def category_mix(lost: float, most: int = 1) -> Change:
    """The most frequent category loses so large a share of its rows to the others, evenly."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        names = [name for name in ("category_0", "category_1", "category_2") if name in pool.families]
        chosen = _pick(random, names if most > 1 else names[:2], most)
        for name in chosen:
            words = sorted(
                {word for word in pool.columns[name][:2000].tolist() if word not in (None, "v000")}
            )
            hit = (columns[name] == "v000") & (random.random(len(columns[name])) < lost)
            other = np.array(words, dtype=object)[random.integers(0, len(words), len(hit))]
            columns[name] = np.where(hit, other, columns[name])
        return chosen

    return change


def new_category(share: float) -> Change:
    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("category"), 1)
        for name in chosen:
            columns[name] = np.where(random.random(len(columns[name])) < share, "never seen", columns[name])
        return chosen

    return change


def missing(share: float, families: Sequence[str] = ("normal", "count", "category", "gaps")) -> Change:
    """So large a share of the values is gone, in one feature."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        names = [name for name in pool.of(*families) if not name.startswith("gaps") or name == "gaps_0"]
        chosen = _pick(random, names, 1)
        for name in chosen:
            gone = random.random(len(columns[name])) < share
            empty = np.nan if columns[name].dtype == np.float64 else None
            columns[name] = np.where(gone, empty, columns[name])
        return chosen

    return change


def unit(share: float, factor: float = 1000.0) -> Change:
    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("normal"), 1)
        for name in chosen:
            hit = random.random(len(columns[name])) < share
            columns[name] = np.where(hit, factor * columns[name], columns[name])
        return chosen

    return change


def out_of_range(share: float) -> Change:
    """Some rows lie 10 to 20 standard deviations above all that was known, in one feature."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("normal", "count"), 1)
        for name in chosen:
            hit = random.random(len(columns[name])) < share
            beyond = np.max(pool.columns[name]) + pool.scale[name] * random.uniform(10, 20, len(hit))
            columns[name] = np.where(hit, beyond, columns[name])
        return chosen

    return change


def zero_share(zeroed: float) -> Change:
    """So large a share of the values that are not zero becomes zero, in the feature with half zeros."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        name = "zeros_0"
        columns[name] = np.where(random.random(len(columns[name])) < zeroed, 0.0, columns[name])
        return (name,)

    return change


def factor_on(families: Sequence[str], factor: float, most: int) -> Change:
    """Multiply a positive quantity."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of(*families), most)
        for name in chosen:
            product = factor * columns[name]
            columns[name] = np.round(product) if pool.families[name] == "count" else product
        return chosen

    return change


def correlation(most: int) -> Change:
    """Shuffle normals against the rest: each by itself is as it was."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = pool.of("normal")[:most]
        for name in chosen:
            columns[name] = random.permutation(columns[name])
        return chosen

    return change


def two_humps(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
    """One normal splits into two humps with the mean and the spread it had."""
    chosen = _pick(random, pool.of("normal"), 1)
    for name in chosen:
        rows = len(columns[name])
        deviation = 0.9 * random.choice([-1.0, 1.0], rows) + np.sqrt(1 - 0.81) * random.normal(size=rows)
        middle = float(np.mean(pool.columns[name]))
        columns[name] = middle + pool.scale[name] * deviation
    return chosen


def new_cluster(share: float) -> Change:
    """Some rows come from a new source: eight features sit elsewhere and close together."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("normal"), 8)
        hit = random.random(len(columns[chosen[0]])) < share
        for name in chosen:
            there = pool.centre[name] + pool.scale[name] * random.choice([-1.8, 1.8])
            noise = 0.2 * pool.scale[name] * random.normal(size=len(hit))
            columns[name] = np.where(hit, there + noise, columns[name])
        return chosen

    return change


def in_segment(size: float) -> Change:
    """A shift only where one category has its most frequent value."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = _pick(random, pool.of("normal"), 1)
        inside = columns["category_0"] == "v000"
        for name in chosen:
            columns[name] = np.where(inside, columns[name] + size * pool.scale[name], columns[name])
        return chosen

    return change


def flag_share(share: float) -> Change:
    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        for name in ["flag_0"]:
            hit = random.random(len(columns[name])) < share
            columns[name] = np.where(hit, "True", columns[name])
        return ("flag_0",)

    return change


def clipped(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
    """A sensor saturates: what lies above the 75th percentile reads as that."""
    chosen = _pick(random, pool.of("normal"), 1)
    for name in chosen:
        columns[name] = np.minimum(columns[name], np.quantile(pool.columns[name], 0.75))
    return chosen


def several(*changes: Change) -> Change:
    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        return [name for part in changes for name in part(columns, pool, random)]

    return change


def together(size: float) -> Change:
    """A shift of the shared factor: all normals of a block move by the same small amount."""

    def change(columns: Columns, pool: Pool, random: np.random.Generator) -> Sequence[str]:
        chosen = pool.of("normal")[:12]
        for name in chosen:
            columns[name] = columns[name] + size * pool.scale[name]
        return chosen

    return change


def prior(pool: Pool) -> np.ndarray:
    """A class that 30 % of the rows are of, by the first three normals and chance, becomes 60 %."""
    standard = [(pool.columns[n] - pool.centre[n]) / pool.scale[n] for n in pool.of("normal")[:3]]
    signs = [np.sign(np.dot(standard[0], z)) for z in standard]  # none undoes another
    score = np.sum([s * z for s, z in zip(signs, standard, strict=True)], axis=0) + np.random.default_rng(
        0
    ).normal(size=pool.rows)
    return np.where(score > np.quantile(score, 0.7), 0.6 / 0.3, 0.4 / 0.7)


NO_DRIFT = Scenario("no drift", "none", _none)

IMMATERIAL = (
    Scenario("all normals shift by 0.02 sd", "immaterial", shift(0.02, ("normal",), 99)),
    Scenario("one normal shifts by 0.05 sd", "immaterial", shift(0.05, ("normal",), 1)),
    Scenario("three normals shift by 0.05 sd", "immaterial", shift(0.05, ("normal",), 3)),
    Scenario("one normal stretches by 2 %", "immaterial", scale(1.02, 1)),
    Scenario("a category loses 3 % of its rows", "immaterial", category_mix(0.03)),
    Scenario("1 % more missing", "immaterial", missing(0.01, ("gaps",))),
)

DRIFT = (
    Scenario("one normal shifts by 0.5 sd", "drift", shift(0.5, ("normal",), 1)),
    Scenario("one normal shifts by 1 sd", "drift", shift(1.0, ("normal",), 1)),
    Scenario("five normals shift by 0.5 sd", "drift", shift(0.5, ("normal",), 5)),
    Scenario("heavy tails shift by 0.7 sd", "drift", shift(0.7, ("heavy",), 3)),
    Scenario("all normals shift by 0.25 sd", "drift", shift(0.25, ("normal",), 12)),
    Scenario("a block of normals shifts together by 0.25 sd", "drift", together(0.25)),
    Scenario("one normal stretches by 1.7", "drift", scale(1.7, 1)),
    Scenario("one normal shrinks by 0.5", "drift", scale(0.5, 1)),
    Scenario("two humps, same mean and spread", "drift", two_humps),
    Scenario("a sensor saturates", "drift", clipped),
    Scenario("the first category loses 60 % of its rows", "drift", category_mix(0.6)),
    Scenario("first categories of three features lose 40 %", "drift", category_mix(0.4, 3)),
    Scenario("a new category in 5 %", "drift", new_category(0.05)),
    Scenario("15 % missing", "drift", missing(0.15)),
    Scenario("40 % missing", "drift", missing(0.4)),
    Scenario("× 1000 in 10 % of the rows", "drift", unit(0.1)),
    Scenario("out of range in 3 %", "drift", out_of_range(0.03)),
    Scenario("zero share 0.50 to 0.70", "drift", zero_share(0.4)),
    Scenario("a flag, true in 30 % to 50 %", "drift", flag_share(2 / 7)),
    Scenario("counts × 1.5", "drift", factor_on(("count",), 1.5, 2)),
    Scenario("a heavy tail × 2", "drift", factor_on(("heavy",), 2.0, 1)),
    Scenario("a new cluster in 15 %", "drift", new_cluster(0.15)),
    Scenario("a shift of 1.5 sd in one segment", "drift", in_segment(1.5)),
    Scenario("correlation lost, marginals the same", "drift", correlation(6), named=False),
    Scenario("prior shift, a class of 30 % becomes 60 %", "drift", _none, named=False, weight=prior),
    Scenario(
        "several at once",
        "drift",
        several(shift(0.5, ("normal",), 3), new_category(0.05), zero_share(0.4)),
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """How the periods of a reference differ among each other.

    Attributes:
        name: as it stands in the table.
        offsets: shift of each seasonal feature in each of the reference's periods, in standard deviations,
            shape (periods, features).
        batch: draws the offsets of the period that a batch is from, shape (features,).
        features: the seasonal ones.
    """

    name: str
    offsets: np.ndarray
    batch: Callable[[np.random.Generator], np.ndarray]
    features: tuple[str, ...]

    def apply(self, columns: Columns, pool: Pool, offsets: np.ndarray) -> None:
        """Move the seasonal features; `offsets` of shape (features,) or (rows, features).

        Normals shift; a quantity with a heavy tail is multiplied, as traffic and sales are, by e^offset.
        """
        for k, name in enumerate(self.features):
            offset = np.asarray(offsets)[..., k]
            if pool.families[name] == "heavy":
                columns[name] = columns[name] * np.exp(offset)
            else:
                columns[name] = columns[name] + pool.scale[name] * offset


PERIODS = 20


def seasons(pool: Pool, random: np.random.Generator) -> list[Season]:
    """Cycles whose phases the reference holds, weak and strong; and periods that are drawn anew each time."""
    names = tuple(pool.of("normal")[::2] + pool.of("heavy")[:1])
    size, phase = random.uniform(0.2, 0.6, len(names)), random.uniform(0, 2 * np.pi, len(names))

    def cycle(when: np.ndarray, strength: float = 1.0) -> np.ndarray:
        return np.asarray(strength * size * np.sin(2 * np.pi * np.asarray(when)[..., None] + phase))

    def even(some: np.random.Generator, periods: tuple[int, ...]) -> np.ndarray:
        return some.uniform(-1, 1, (*periods, len(names))) * size

    def normal(some: np.random.Generator, periods: tuple[int, ...]) -> np.ndarray:
        return some.normal(0, 0.5, (*periods, len(names))) * size

    at = np.arange(PERIODS) / PERIODS
    return [
        Season("a cycle, a phase that the reference holds", cycle(at), lambda r: cycle(r.choice(at)), names),
        Season("a cycle, a phase in between", cycle(at), lambda r: cycle(r.random()), names),
        Season("periods drawn evenly, a new one", even(random, (PERIODS,)), lambda r: even(r, ()), names),
        Season(
            "periods drawn normally, a new one", normal(random, (PERIODS,)), lambda r: normal(r, ()), names
        ),
        Season(
            "a strong cycle, a phase that it holds", cycle(at, 2.5), lambda r: cycle(r.choice(at), 2.5), names
        ),
    ]
