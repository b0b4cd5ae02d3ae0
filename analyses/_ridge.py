"""Published estimator and its baselines: point estimates by ridge regression.

As in arXiv 2506.04945: polynomials of total degree 3 in all actions, standardised, ridge
penalties from 1e-8 to 1e-1 by 3-fold cross-validation, one regression per regime; the joint
effect is the sum of the single-intervention regressions less K - 1 times the observational one.
"""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import bayes_intgen as bi

PENALTIES = np.logspace(-8, -1, 8)
Predict = Callable[[np.ndarray], np.ndarray]


def ridge(actions: np.ndarray, outcome: np.ndarray) -> Predict:
    """Fit one cubic ridge regression."""
    cubic = make_pipeline(PolynomialFeatures(degree=3), StandardScaler(), Ridge())
    search = GridSearchCV(cubic, {"ridge__alpha": PENALTIES}, cv=3)
    return search.fit(actions, outcome).predict


class Separate:
    """One regression per regime, and estimates of the joint effect from them."""

    def __init__(self, data: bi.RegimeData) -> None:
        self.observational = pooled(data.only([]))
        self.set_alone = [pooled(data.only([name])) for name in data.names]

    def published(self, points: np.ndarray) -> np.ndarray:
        """Published estimate of the joint effect."""
        total = sum(one(points) for one in self.set_alone)
        return total - (len(self.set_alone) - 1) * self.observational(points)

    def averaged(self, points: np.ndarray) -> np.ndarray:
        """Pooled baseline of the published code: the mean of all regressions."""
        return np.mean([one(points) for one in (self.observational, *self.set_alone)], axis=0)


def pooled(data: bi.RegimeData) -> Predict:
    """Fit one regression to all rows of the data."""
    return ridge(data.actions, data.outcome)
