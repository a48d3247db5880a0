"""1-Wasserstein distance of a numeric feature: how far its values have moved on average, in standard deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.describe import describe
from detectors.profile import FeatureProfile
from detectors.significance import batch_rows

_FAR = 5.0  # standard deviations from the median beyond which a value counts as that far
_POINTS = 40  # of the grid that the p-value is simulated on
_BLOCK, _PLAIN, _TILTED = 50, 200, 400  # draws
_ENOUGH = 20  # exceedances after which plain simulation may stop


@dataclass(frozen=True, slots=True)
class Wasserstein:
    """Earth mover's distance: W = integral of |F - G| dx, in standard deviations of the reference.

    The distance that the mass of one distribution has to travel to become the other. The standard deviation is
    that of the reference's quartiles, (q75 - q25)/1.349, or of wider quantiles where they coincide (a column of
    mostly zeros). Values more than five of them from the median count as that far, so one absurd value cannot
    be the distance, and values beyond the training range count as its ends: `OutOfRange` sees those.

    The effect is W* = sqrt(max(0, W^2 - E^2)), E the mean of W without drift (in the limit of a Brownian
    bridge). p is simulated: both samples are drawn anew from the shares of both together, on 40 points of the
    grid, so ties and rare values are what they are. Where a W this large is rare, the draws are tilted towards it
    in both directions and weighted (importance sampling), so small p are right to about a tenth.

    Use it where size matters: it grows in proportion to a shift, where PSI and KS level off. It is not for
    categories and does not see missing values.

    Attributes:
        moderate: W* from which drift is moderate: the shift of a Gaussian whose PSI is 0.1.
        significant: from which it is significant: the same for 0.2.
        seed: of the simulation; the same samples give the same p.

    Examples:
        A shift by one standard deviation moves all mass by one:

        >>> import numpy as np
        >>> from detectors.profile import numeric_profile
        >>> rng = np.random.default_rng(7)
        >>> reference = numeric_profile("x", rng.normal(0, 3, 200_000))
        >>> score = Wasserstein().score(reference, reference.summarize(rng.normal(3, 3, 200_000)))
        >>> bool(abs(score.statistic - 1) < 0.01), score.p_value < 1e-9
        (True, True)

    References:
        Ramdas, García Trillos and Cuturi, "On Wasserstein two-sample testing", Entropy 19 (2017); del Barrio,
        Giné and Matrán, Ann. Probab. 27 (1999); Johns, "Importance sampling for bootstrap confidence
        intervals", JASA 83 (1988); Besag and Clifford, "Sequential Monte Carlo p-values",
        Biometrika 78 (1991); Owen and Zhou, "Safe and effective importance sampling", JASA 95 (2000).
    """

    moderate: float = 0.316
    significant: float = 0.447
    seed: int = 0

    @property
    def name(self) -> str:
        return "wasserstein"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """W in standard deviations, W* and p; None for categories, without values, and for a constant reference."""
        measured = self.measure(reference, current)
        if measured is None:
            return None
        distance, effect, points = measured
        floor = reference.variation.get(self.name, 0.0)
        p = 1.0
        if effect > floor or not floor:
            p = self._p(reference, current, points, floor)
        return Score(distance, p, effect, describe(reference, current))

    def measure(
        self, reference: FeatureProfile, current: FeatureProfile
    ) -> tuple[float, float, np.ndarray] | None:
        """W, W* and the grid in standard deviations from the median; None as in `score`."""
        if reference.kind != "numeric" or not reference.filled or not current.filled:
            return None
        scale = spread(reference)
        if not scale:
            return None
        points = _positions(reference, scale)
        distance = _distance(reference, current, points)
        effect = math.sqrt(max(0.0, distance**2 - _usual(reference, current, points) ** 2))
        return distance, effect, points

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows for a shift of `significant` to reach p <= alpha; None for categories or too small a reference."""
        from scipy.special import ndtri

        if reference.kind != "numeric":
            return None
        # the rarest way to a large W is a shift of the mean, whose square is chi-squared with one degree
        return batch_rows(float(ndtri(alpha / 2) / self.significant) ** 2, reference.filled)

    def _p(
        self, reference: FeatureProfile, current: FeatureProfile, points: np.ndarray, floor: float
    ) -> float:
        """P of a W this large without drift; W obeys the triangle inequality, so natural variation is taken off."""
        steps = _steps(points)
        before, after = (_counts(part, steps) for part in (reference, current))
        m, n = reference.filled, current.filled
        at = points[steps]
        widths = np.diff(at)
        gap = float(np.abs(np.cumsum(before / m - after / n)[:-1]) @ widths) - floor
        if gap <= 1e-12:
            return 1.0
        return _simulated(gap, (before + after) / (m + n), at, m, n, np.random.default_rng(self.seed))


def spread(part: FeatureProfile) -> float:
    """Standard deviation of the middle of a distribution; 0 for a constant.

    From the quartiles, from wider pairs of quantiles where they coincide, at last the usual one.
    """
    for low, deviations in ((0.25, 1.349), (0.05, 3.290), (0.01, 4.653)):
        with np.errstate(over="ignore"):
            width = (part.quantile(1 - low) - part.quantile(low)) / deviations
        if 0 < width < math.inf:
            return width
    return part.std if 0 < part.std < math.inf else 0.0


def _positions(reference: FeatureProfile, scale: float) -> np.ndarray:
    """The grid in standard deviations from the median."""
    with np.errstate(over="ignore"):
        return np.clip((reference.grid - reference.median) / scale, -_FAR, _FAR)


def _distance(reference: FeatureProfile, current: FeatureProfile, points: np.ndarray) -> float:
    """Integral of |F - G|: exact where no row lies strictly between grid points, there F - G is taken as straight."""
    m, n = reference.filled, current.filled
    left = np.abs(start := (reference.at_most / m - current.at_most / n)[:-1])
    right = np.abs(end := (reference.below / m - current.below / n)[1:])
    sides = left + right
    crossing = start * end < 0  # two triangles instead of a trapezium
    height = np.where(crossing, (left**2 + right**2) / np.maximum(sides, 1e-300), sides) / 2
    return float(height @ np.diff(points))


def _usual(reference: FeatureProfile, current: FeatureProfile, points: np.ndarray) -> float:
    """Mean of W without drift: integral of sqrt(2/pi F (1 - F) (1/n + 1/m))."""
    m, n = reference.filled, current.filled
    share = ((reference.at_most + current.at_most) / (m + n))[:-1]
    deviation = np.sqrt(share * (1 - share) * (1 / m + 1 / n))
    return math.sqrt(2 / math.pi) * float(deviation @ np.diff(points))


def _steps(points: np.ndarray) -> np.ndarray:
    """Indices of at most 40 distinct points, the first and the last among them."""
    distinct = np.flatnonzero(np.diff(points, prepend=-np.inf) > 0)
    distinct = np.append(distinct[:-1], len(points) - 1) if len(distinct) > 1 else distinct
    ranks = np.unique(np.linspace(0, len(distinct) - 1, _POINTS).round().astype(np.int64))
    steps: np.ndarray = distinct[ranks]
    return steps


def _counts(part: FeatureProfile, steps: np.ndarray) -> np.ndarray:
    """Rows up to the first point, up to each following one, the last with all that lie above; shape (steps,)."""
    counts: np.ndarray = np.diff(part.at_most[steps], prepend=0)
    counts[-1] = part.filled - part.at_most[steps][-2] if len(steps) > 1 else part.filled
    return counts


def _simulated(
    gap: float, shares: np.ndarray, at: np.ndarray, m: int, n: int, random: np.random.Generator
) -> float:
    """P that two samples of m and n rows with these shares at these points have W >= gap."""
    draws = _Draws(shares, at, m, n, random)
    plain = np.empty(0)
    while len(plain) < _PLAIN:
        plain = np.append(plain, draws.of(_BLOCK, 0.0)[0])
        hits = np.flatnonzero(plain >= gap * (1 - 1e-9))
        if len(hits) >= _ENOUGH:  # Besag and Clifford: h over the number of draws up to the h-th hit is exact
            return _ENOUGH / (int(hits[_ENOUGH - 1]) + 1)
    parts = [draws.of(_PLAIN, 0.0), draws.of(_TILTED, gap), draws.of(_TILTED, -gap)]
    found = np.concatenate([w for w, _ in parts])
    means = np.concatenate([pair for _, pair in parts])
    logs = np.stack([draws.log_ratio(means, toward) for toward in (0.0, gap, -gap)])
    part = np.array([_PLAIN, _TILTED, _TILTED]) / len(found)
    weight = 1 / (part @ np.exp(np.clip(logs, -700, 700)))
    # farther than any tilt leads: the p of what it does lead to is an upper bound
    reached = min(gap * (1 - 1e-9), float(np.median(found[_PLAIN:])))
    return float(min(1.0, max(1e-300, (weight * (found >= reached)).mean())))


class _Draws:
    """Pairs of samples with given shares, tilted so that their means differ by about as much as is asked."""

    def __init__(
        self, shares: np.ndarray, at: np.ndarray, m: int, n: int, random: np.random.Generator
    ) -> None:
        self._shares, self._at, self._m, self._n, self._random = shares, at, m, n, random
        self._widths = np.diff(at)
        self._mean = float(shares @ at)

    def of(self, draws: int, toward: float) -> tuple[np.ndarray, np.ndarray]:
        """W of each pair, shape (draws,), and the means of both samples, shape (draws, 2)."""
        m, n = self._m, self._n
        batch, reference = (self._tilted(t)[1] for t in self._tilts(toward))
        current = self._random.multinomial(n, batch, draws) / n
        before = self._random.multinomial(m, reference, draws) / m
        gaps = np.abs(np.cumsum(current - before, axis=1)[:, :-1])
        return gaps @ self._widths, np.stack([current @ self._at, before @ self._at], axis=1)

    def log_ratio(self, means: np.ndarray, toward: float) -> np.ndarray:
        """Log of how much likelier the pairs are under the tilt than without."""
        (one, two), rows = self._tilts(toward), (self._n, self._m)
        return np.asarray(
            sum(
                r * (t * means[:, k] - self._tilted(t)[0])
                for k, (t, r) in enumerate(zip((one, two), rows, strict=True))
            )
        )

    def _tilts(self, toward: float) -> tuple[float, float]:
        share = self._n / (self._m + self._n)  # each sample moves against its own number of rows
        return self._tilt(toward * (1 - share)), self._tilt(-toward * share)

    def _tilt(self, shift: float) -> float:
        """The t for which shares ~ e^(t x) have a mean that is greater by `shift` (by bisection)."""
        if not shift:
            return 0.0
        room = (self._at[-1] if shift > 0 else self._at[0]) - self._mean
        goal = self._mean + math.copysign(min(abs(shift), 0.95 * abs(room)), shift)
        low, high = (0.0, 60.0) if shift > 0 else (-60.0, 0.0)
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if float(self._tilted(middle)[1] @ self._at) < goal else (low, middle)
        return (low + high) / 2

    def _tilted(self, t: float) -> tuple[float, np.ndarray]:
        """Log of the normalizing constant, and the tilted shares."""
        top = float((t * self._at).max())
        grown = self._shares * np.exp(t * self._at - top)
        total = float(grown.sum())
        return top + math.log(total), grown / total
