"""Wild bootstrap of score statistics, and p values that hold for all tests together.

Rows' contributions to a score are multiplied by random signs (Rademacher weights; Davidson and
Flachaire 2008), which keeps any dependence of the variance and shape of the noise on regime and
actions. All tests share the signs, so that the smallest p value can be compared with its own
distribution (Westfall and Young 1993): the level holds for all tests together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations

Kind = Literal[
    "interaction", "graph", "regime", "confounded interaction", "moderator", "variance", "shape",
    "shared cause", "shift",
]  # fmt: skip
N_BOOTSTRAP = 999
# Number of stretches of rows that are dependent in time, if a unit has one at least.
N_BLOCKS = 48
# Share of samples, the largest, to which an exponential tail is fitted.
TAIL = 0.05
# Maximum number of bootstrap weights (samples times rows) in memory at once.
MAX_BOOTSTRAP_WEIGHTS = 4_000_000
# Power at which a size counts as detectable, and number of samples with which it is computed.
POWER, POWER_SAMPLES = 0.9, 200
# Maximum number of times that the critical value is adapted to the detectable size.
CRITICAL_UPDATES = 10


class RowScores(NamedTuple):
    """Contributions of some rows of the data to a score.

    Attributes
    ----------
    rows : ndarray of int, shape (m,), or slice
        Positions of the rows.
    each : ndarray, shape (m, q)
    """

    rows: NDArray[np.int_] | slice
    each: Array


def blocks_of_rows(data: Observations) -> NDArray[np.int_]:
    """Block of each row, shape (n,): the row itself, or a stretch of the rows of a unit in time.

    Rows of a stretch share a sign, which keeps their dependence (cluster wild bootstrap: Cameron,
    Gelbach and Miller 2008; for series the dependent wild bootstrap: Shao 2010).
    """
    return data.stretches(-(-len(data) // N_BLOCKS))


def wild_bootstrap(
    scores: Sequence[RowScores], blocks: NDArray[np.int_], rng: np.random.Generator
) -> list[Array]:
    """Sample sums over the rows with random signs, shape (N_BOOTSTRAP, q) for each score.

    All scores share the signs of the ``blocks`` of rows of the data, as do calls with equal
    generators.
    """
    count = int(blocks.max()) + 1
    if count < len(blocks):
        scores = [_by_block(score, blocks, count) for score in scores]
    # Single precision suffices for a distribution, and takes half the time.
    every = [score.each.astype(np.float32) for score in scores]
    sums = [np.empty((N_BOOTSTRAP, each.shape[1])) for each in every]
    step = max(1, MAX_BOOTSTRAP_WEIGHTS // count)
    for start in range(0, N_BOOTSTRAP, step):
        size = min(step, N_BOOTSTRAP - start)
        bits = np.frombuffer(rng.bytes(-(-size * count // 8)), dtype=np.uint8)
        is_positive = np.unpackbits(bits)[: size * count].reshape(size, count).astype(np.float32)
        for score, each, out in zip(scores, every, sums, strict=True):
            out[start : start + size] = 2 * (is_positive[:, score.rows] @ each)
    for each, out in zip(every, sums, strict=True):
        out -= each.sum(axis=0, dtype=np.float64)
    return sums


def _by_block(scores: RowScores, blocks: NDArray[np.int_], count: int) -> RowScores:
    """Sums of scores over the rows of each block."""
    sums = np.zeros((count, scores.each.shape[1]))
    np.add.at(sums, blocks[scores.rows], scores.each)
    return RowScores(slice(None), sums)


class Departure(NamedTuple):
    """Departure from the model, which a test is against.

    Attributes
    ----------
    kind, label : str
    actions : tuple of str
        The actions concerned; for a moderator the action and the covariate.
    """

    kind: Kind
    label: str
    actions: tuple[str, ...]


class Untested(NamedTuple):
    """What these rows cannot test, and why; nothing where the regimes say so."""

    of: Departure
    obstacle: str = ""


class BootstrapResult(NamedTuple):
    """Result of the test against one alternative.

    Attributes
    ----------
    of : Departure
    log_bayes_factor : float
        Evidence for the alternative against the null hypothesis; NaN if it has none.
    p : float
        Bootstrap p value.
    p_familywise : float
        Probability that the smallest p value of all tests is at most ``p``.
    size : float
        Standard deviation over the rows of the estimate, in the outcome's units; for a regime the
        root mean square.
    detectable : float
        Size of the smoothest function that the test detects with probability 0.9; infinite if it
        detects none.
    """

    of: Departure
    log_bayes_factor: float
    p: float
    p_familywise: float
    size: float
    detectable: float


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """Test whose statistic has bootstrap samples under the null hypothesis.

    Attributes
    ----------
    of : Departure
    statistics : ndarray, shape (1 + N_BOOTSTRAP,)
        The statistic, which is large under the alternative, and its samples.
    null : ndarray, shape (N_BOOTSTRAP,)
        Samples from which the critical value of a detectable size is computed.
    alternative : callable
        Statistics of ``POWER_SAMPLES`` samples where the alternative has some size.
    size : float
    sizes : (float, float), or ndarray
        Sizes between which the detectable one is sought, in the units of ``size``.
    log_bayes_factor : float
        NaN where there is no model of the alternative.
    null_beside : callable, optional
        Samples under the null hypothesis fitted to an alternative of some size, if it absorbs a
        part of the alternative: the critical value then depends on the size.
    """

    of: Departure
    statistics: Array
    null: Array
    alternative: Callable[[float], Array]
    size: float
    sizes: tuple[float, float] | Array
    log_bayes_factor: float = float("nan")
    null_beside: Callable[[float], Array] | None = None

    def detectable(self, threshold: float) -> float:
        """Smallest size that has a p value of at most ``threshold`` with probability 0.9."""
        critical, (smallest, largest) = critical_value(self.null, threshold), map(float, self.sizes)

        def power(size: float) -> float:
            return float(np.mean(self.alternative(size) > critical))

        size = smallest_size(power, smallest, largest)
        if self.null_beside is not None:
            for _ in range(CRITICAL_UPDATES):
                critical = critical_value(self.null_beside(min(size, largest)), threshold)
                if size > largest or power(size) >= POWER:
                    break
                size = smallest_size(power, size, largest)
        return size


def familywise_results(tests: Sequence[BootstrapTest], level: float) -> list[BootstrapResult]:
    """Results of a family of tests, with p values that hold for all of them together.

    ``detectable`` is computed at the familywise ``level``.
    """
    if not tests:
        return []
    p = np.stack([_p_values(test.statistics) for test in tests], axis=1)
    smallest = np.sort(p.min(axis=1))
    familywise = np.searchsorted(smallest, p[0], side="right") / len(smallest)
    threshold = float(smallest[max(int(level * len(smallest)) - 1, 0)])
    p_values = zip(p[0].tolist(), familywise.tolist(), strict=True)
    return [
        BootstrapResult(test.of, test.log_bayes_factor, *own, test.size, test.detectable(threshold))
        for test, own in zip(tests, p_values, strict=True)
    ]


def critical_value(samples: Array, threshold: float) -> float:
    """Statistic with this p value."""
    if threshold >= TAIL:
        return float(np.quantile(samples, 1 - threshold))
    start, scale = _tail(samples)
    return start - scale * float(np.log(threshold / TAIL))


def _p_values(values: Array) -> Array:
    """Share of values that are at least as large, for each, with an exponential tail.

    Statistics are sums of squares, or increase like them, so that their tails are nearly
    exponential. With many tests, p values are needed below the reciprocal of the number of samples
    (Knijnenburg, Wessels, Reinders and Shmulevich 2009).
    """
    start, scale = _tail(values[1:])
    share = (len(values) - np.searchsorted(np.sort(values), values, side="left")) / len(values)
    tail = TAIL * np.exp(-np.maximum(values - start, 0) / max(scale, 1e-300))
    return np.asarray(np.where((values > start) & (scale > 0), tail, share))


def _tail(samples: Array) -> tuple[float, float]:
    """Start and mean excess of the upper tail."""
    start = float(np.quantile(samples, 1 - TAIL))
    beyond = samples[samples > start]
    return start, float(beyond.mean()) - start if len(beyond) else 0.0


def smallest_size(power: Callable[[float], float], smallest: float, largest: float) -> float:
    """Smallest size with sufficient power, accurate to 2%, by bisection; infinite if there is none.

    Sizes range from a positive ``smallest``, which has too little power, to ``largest``.
    """
    if power(largest) < POWER:
        return float("inf")
    low, high = smallest, largest
    while high > 1.02 * low:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
