"""How far an estimate of the joint effect is from the truth, and whether its bands hold it."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

import bayes_intgen as bi

LEVELS = (0.5, 0.8, 0.9, 0.95)
# Studies of errors fit hundreds of models, each in one process of its own: two chains of 250
# draws determine a posterior mean far better than the data do. Everything else is as by default.
STUDY = {"chains": 2, "draws": 250, "warmup": 200}
QUICK = {"chains": 2, "draws": 50, "warmup": 60}


def rms(differences: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(differences))))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    array = np.asarray(values, dtype=float)
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))


def cover(draws: np.ndarray, truth: np.ndarray, level: float) -> float:
    """Share of points whose central band holds the truth, for draws (chain, draw, point)."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=(0, 1))
    return float(np.mean((low < truth) & (truth < high)))


def timed(fit: Callable[[], bi.Posterior]) -> tuple[bi.Posterior, float]:
    """A fit and the seconds that it took."""
    began = time.perf_counter()
    posterior = fit()
    return posterior, time.perf_counter() - began
