"""Bayes factor of the dependence of an action on functions of something else, given causes.

Let x be these functions and t functions of the action, all without the part that its other observed
causes explain. Without dependence the score S = sum_i x_i t_i is normal with mean zero and
covariance V = sum_i x_i x_i' t_i t_i'. With it the covariance is V + s^2 J J', with the information
J = sum_i x_i x_i' and a scale s of the coefficients that is integrated out. V allows for a spread
of the action that depends on x, and bounds the influence of single rows. The t are a few smooth
functions, which show the mean and the spread of the action.
"""

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.inference.gaussian.matrices import orthonormal_basis
from bayes_intgen.models.mechanisms.features import feature_basis
from bayes_intgen.models.mechanisms.gp import GP
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition

# Functions of an action as a regressor, and rows per regressor.
N_REGRESSORS, ROWS_PER_REGRESSOR = 6, 10
# Maximum number of rows that determine the functions of an action.
BASIS_ROWS = 5_000
# Scale of the coefficients, in standard deviations of the response.
SCALE = LogNormal(median=0.5, sigma=1.0)
# Singular values, relative to columns of unit length, below which columns are combinations of
# others: of regressors, and of responses beside the regressors.
MIN_REGRESSOR, MIN_RESPONSE = 1e-6, 1e-3


def functions_of_action(actions: Array, terms: Decomposition, k: int) -> tuple[Basis, Basis]:
    """Functions of an action as a regressor and as a response, whatever its prior in the model.

    Parameters
    ----------
    actions : ndarray, shape (n, 1)
    terms : Decomposition
        Its coordinates and levels are used.
    k : int
        Position of the action.
    """
    levels, rows = terms.categories[k], actions[:: max(1, len(actions) // BASIS_ROWS)]
    mechanism = GP() if levels is None else Levels(levels.ordered)
    if levels is not None:
        rows = np.concatenate([rows, np.unique(actions)[:, None]])
    basis = mechanism.marginal_basis(rows, terms.coordinates[k], N_REGRESSORS)
    return basis, feature_basis(mechanism, basis, rows)


def span_of(causes: Array, numbers: Array) -> Array:
    """Orthonormal basis of functions of observed causes, shape (n, M) or fewer columns.

    Parameters
    ----------
    causes : ndarray, shape (n, M)
    numbers : ndarray, shape (n,)
        Number of equal rows that each row stands for.
    """
    return orthonormal_basis(causes * np.sqrt(numbers)[:, None], MIN_REGRESSOR)


def log_bayes_factor(
    regressors: Array, features: Array, span: Array, numbers: Array, unit: NDArray[np.int_] | None
) -> float:
    """Log Bayes factor of the dependence of an action on regressors; zero with too few rows.

    Parameters
    ----------
    regressors : ndarray, shape (n, M)
    features : ndarray, shape (n, q)
        Functions of the action.
    span : ndarray, shape (n, number of functions)
        Result of :func:`span_of` for the other causes of the action, with a constant among them.
    numbers : ndarray, shape (n,)
        Number of equal rows that each row stands for.
    unit : ndarray of int, shape (n,), optional
        Unit of each row; rows of a unit may be dependent.
    """
    if numbers.sum() < ROWS_PER_REGRESSOR * (span.shape[1] + regressors.shape[1]):
        return 0.0
    root = np.sqrt(numbers)[:, None]
    features = (features - np.average(features, axis=0, weights=numbers)) * root
    remainder = features - span @ (span.T @ features)
    left = (remainder**2).sum(axis=0) > MIN_RESPONSE**2 * (features**2).sum(axis=0)
    if not left.any():
        return 0.0
    response = orthonormal_basis(remainder[:, left], MIN_RESPONSE) * np.sqrt(numbers.sum())
    regressors = regressors * root
    regressors = regressors - span @ (span.T @ regressors)
    each = (regressors[:, :, None] * response[:, None, :]).reshape(len(response), -1)
    score = each.sum(axis=0)
    if unit is not None:
        _, each = sums_by_unit(each, unit)
    else:
        # The sum of squares over equal rows.
        each = each / np.sqrt(numbers)[:, None]
    values, vectors = np.linalg.eigh(each.T @ each)
    present = values > MIN_REGRESSOR**2 * values[-1]
    whitening = vectors[:, present] / np.sqrt(values[present])
    information = np.kron(regressors.T @ regressors, np.eye(response.shape[1]))
    # Given coefficients b, the whitened score is normal with mean `root @ b` and unit covariance.
    root = whitening.T @ information
    likelihood = TermLikelihood.of_information(root.T @ root, root.T @ (whitening.T @ score))
    return TermEvidence.of(likelihood, np.log(SCALE.median), SCALE.sigma).log_bayes_factor


def sums_by_unit(columns: Array, unit: NDArray[np.int_]) -> tuple[NDArray[np.int_], Array]:
    """Distinct units, and the sums of columns over the rows of each.

    Examples
    --------
    >>> sums_by_unit(np.array([[1.0], [2.0], [4.0]]), np.array([7, 3, 7]))
    (array([3, 7]), array([[2.],
           [5.]]))
    """
    units, index = np.unique(unit, return_inverse=True)
    sums = np.zeros((len(units), columns.shape[1]))
    np.add.at(sums, index, columns)
    return units, sums
