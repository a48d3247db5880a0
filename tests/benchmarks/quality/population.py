"""Tables with known truth: features of every awkward kind, drawn once into a large pool of rows.

Reference and batch of a trial are disjoint random rows of one pool, so that without drift they are
exchangeable exactly, whatever the size of the pool; and drawing costs next to nothing beside a check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

_BLOCK = 12  # normals that share factors
# One round of features; longer tables repeat it, each feature with parameters of its own.
_ROUND = (
    *["normal"] * 12, *["heavy"] * 5, *["zeros"] * 5, *["count"] * 5, *["category"] * 6,
    *["gaps"] * 3, "flag", "constant", "nearly_constant", "id",
)  # fmt: skip
_SHORT = ("normal", "normal", "normal", "heavy", "zeros", "count", "category", "category", "gaps", "constant")


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Rows to draw from.

    Attributes:
        columns: feature -> float64 with NaN for missing, or object array of str and None; shape (rows,).
        families: feature -> normal, heavy, zeros, count, category, gaps, flag, constant, nearly_constant or id.
        scale: numeric feature -> standard deviation, robustly measured where the tails are heavy.
        centre: numeric feature -> median.
    """

    columns: Mapping[str, np.ndarray]
    families: Mapping[str, str]
    scale: Mapping[str, float]
    centre: Mapping[str, float]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def of(self, *families: str) -> list[str]:
        """The features of these families, in order."""
        return [name for name, family in self.families.items() if family in families]

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[rows] for name, values in self.columns.items()}


def make_pool(features: int, rows: int, seed: int) -> Pool:
    """A population of so many features and its rows; the same arguments give the same rows."""
    random = np.random.default_rng([seed, features])
    kinds = _SHORT if features == len(_SHORT) else [_ROUND[i % len(_ROUND)] for i in range(features)]
    columns: dict[str, np.ndarray] = {}
    families: dict[str, str] = {}
    counted: dict[str, int] = {}
    factors = np.empty((rows, 0))
    for kind in kinds:
        number = counted.get(kind, 0)
        counted[kind] = number + 1
        name = f"{kind}_{number}"
        if kind == "normal" and number % _BLOCK == 0:
            factors = random.normal(size=(rows, 3))
        columns[name] = _FAMILIES[kind](random, rows, number, factors)
        families[name] = kind
    numbers = {name: v for name, v in columns.items() if v.dtype == np.float64}
    return Pool(
        columns,
        families,
        {name: _spread(values, families[name]) for name, values in numbers.items()},
        {name: float(np.nanmedian(values)) for name, values in numbers.items()},
    )


def frame_of(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Columns as a frame of float64 and str, as it comes from a file."""
    return pd.DataFrame(
        {n: v if v.dtype == np.float64 else pd.Series(v, dtype="str") for n, v in columns.items()}
    )


def _spread(values: np.ndarray, family: str) -> float:
    if family != "heavy":
        return float(np.nanstd(values)) or 1.0
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(high - low) / 2


def _normal(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    """Correlated through three factors: about 0.5 on average within a block, from 0 to 0.9."""
    weights = random.dirichlet(np.ones(3)) * random.choice([-1, 1], 3)
    shared = factors @ (weights / np.linalg.norm(weights))
    loading = random.uniform(0.4, 0.95)
    noise = random.normal(size=rows)
    mean, spread = random.uniform(-50, 50), math.exp(random.uniform(-2, 4))
    return np.asarray(mean + spread * (loading * shared + math.sqrt(1 - loading**2) * noise))


def _heavy(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    scale = math.exp(random.uniform(0, 5))
    match number % 4:
        case 0:
            return scale * random.lognormal(0, random.uniform(0.8, 2), rows)
        case 1:
            return scale * random.standard_t(random.uniform(2, 4), rows)
        case 2:
            return scale * (1 + random.pareto(random.uniform(1.2, 2.5), rows))
        case _:
            return scale * random.standard_cauchy(rows)


def _zeros(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    """Between a third and nine tenths zeros; the first one has half."""
    share = 0.5 if number == 0 else random.uniform(0.3, 0.9)
    values = random.gamma(random.uniform(1, 3), math.exp(random.uniform(0, 4)), rows)
    return np.where(random.random(rows) < share, 0.0, values)


def _count(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    mean = math.exp(random.uniform(0, 4))
    if number % 2:
        return random.negative_binomial(2, 2 / (2 + mean), rows).astype(np.float64)
    return random.poisson(mean, rows).astype(np.float64)


def _category(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    """Four to six words, a dozen, a long Zipf tail, or two unequal ones; a few missing in some."""
    levels = (4, 6, 12, 300, 2, 40)[number % 6]
    share = 1 / np.arange(1, levels + 1) ** (1.1 if levels > 12 else 0.7)
    words = np.array([f"v{k:03d}" for k in range(levels)], dtype=object)
    values = words[random.choice(levels, rows, p=share / share.sum())]
    if number % 6 == 2:
        values[random.random(rows) < 0.01] = None
    return values


def _gaps(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    """Missing in 2 % (the first), 20 %, 60 %; where the value is large more often than elsewhere."""
    values = random.normal(10, 3, rows)
    share = (0.02, 0.2, 0.6)[number % 3]
    chance = np.clip(share * (1 + 0.3 * np.sign(values - 10)), 0, 1)
    return np.where(random.random(rows) < chance, np.nan, values)


def _flag(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.array(["False", "True"], dtype=object)[(random.random(rows) < 0.3).astype(int)]
    return values


def _constant(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    return np.full(rows, 7.0)


def _nearly_constant(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    """One value but for one row in five hundred."""
    return np.where(random.random(rows) < 0.002, random.normal(50, 10, rows), 1.0)


def _id(random: np.random.Generator, rows: int, number: int, factors: np.ndarray) -> np.ndarray:
    return np.array([f"{key:016x}" for key in random.integers(0, 2**62, rows)], dtype=object)


_Draw = Callable[[np.random.Generator, int, int, np.ndarray], np.ndarray]
_FAMILIES: Mapping[str, _Draw] = {
    "normal": _normal, "heavy": _heavy, "zeros": _zeros, "count": _count, "category": _category, "gaps": _gaps,
    "flag": _flag, "constant": _constant, "nearly_constant": _nearly_constant, "id": _id,
}  # fmt: skip
