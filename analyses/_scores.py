"""Errors of estimates of the joint effect and coverage of their credible intervals."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

import bayes_intgen as bi

LEVELS = (0.5, 0.8, 0.9, 0.95)
# Studies of errors fit hundreds of models, each in a separate process: the Monte Carlo error of
# two chains of 250 draws is small against the posterior's. All other settings are defaults.
STUDY = {"chains": 2, "draws": 250, "warmup": 200}
QUICK = {"chains": 2, "draws": 50, "warmup": 60}


def rms(differences: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(differences))))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    array = np.asarray(values, dtype=float)
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))


def mean_coverage(rows: Sequence[Mapping[str, str]]) -> str:
    """Mean of the rows' coverage of 90% intervals and its standard error, where they have one."""
    values = [float(row["coverage90"]) for row in rows if row["coverage90"]]
    return "{:.3f} +- {:.3f}".format(*mean_and_error(values)) if values else ""


def coverage(draws: np.ndarray, truth: np.ndarray, level: float) -> float:
    """Share of points whose central interval contains the truth; draws (chain, draw, point)."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=(0, 1))
    return float(np.mean((low < truth) & (truth < high)))


def timed(fit: Callable[[], bi.Posterior]) -> tuple[bi.Posterior, float]:
    """Run a fit and measure its seconds."""
    began = time.perf_counter()
    posterior = fit()
    return posterior, time.perf_counter() - began
