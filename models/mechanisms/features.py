"""A few functions of an action that show its mean and its spread, as responses in regressions."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import Mechanism

# Number of functions of a smooth action or ordered levels, and of unordered levels.
N_FEATURES, N_LEVEL_FEATURES = 2, 4


def feature_basis(mechanism: Mechanism, basis: Basis, actions: Array) -> Basis:
    """Leading functions of a marginal basis.

    Parameters
    ----------
    mechanism : Mechanism
        The mechanism of the action.
    basis : Basis
        Its marginal basis.
    actions : ndarray, shape (n, 1)
        Values over which the leading functions vary most.
    """
    unordered = isinstance(mechanism, Levels) and not mechanism.ordered
    count = N_LEVEL_FEATURES if unordered else N_FEATURES
    if isinstance(basis, KarhunenLoeveBasis):
        return KarhunenLoeveBasis(basis.basis, basis.weights[:, :count])
    return KarhunenLoeveBasis.of(actions, basis, np.ones(basis.size), count)
