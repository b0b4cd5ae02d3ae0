r"""Bounds on the error of the joint effect if hidden causes are correlated, or interact.

The method assumes independent hidden causes C_1, ..., C_K. The bounds hold in a family of models
with one more parameter, rho, the largest correlation of any two causes in either direction. To
first order they are proportional to rho. They are small where the biases are, zero where at most
one action is confounded, and attained for two actions whose signals equal their causes.

A second parameter, gamma, is the size of interactions of hidden causes; the two bounds add up.

Notes
-----
**Family.** The causes have mean zero, variance one and correlations Corr(C_j, C_k) = g_j g_k with
g_k^2 <= rho, from one shared cause. The outcome is linear in them,
f_k(a, C_k) = phi_k(a) + b_k C_k. The information of an observed action about its cause, given its
parents, is a normal signal s_k = C_k + noise, with reliability r_k = 1 / Var(s_k). Causes and
noises are jointly normal.

**Error.** Let T be the correlation matrix of the signals, T_jk = g_j g_k sqrt(r_j r_k) for j != k,
and m_R the mean outcome in a regime at the same values a of all actions. A set action is not
informative about its cause, so that

    m_0 = level + sum_k phi_k + b'E[C | s],    m_j = level + sum_k phi_k + b'E[C | s_(-j)].

The fit estimates the bias delta_j = m_0 - m_j and the joint effect sum_j m_j - (K - 1) m_0, which
equals level + sum_k phi_k + B with the error

    B = b'E[C | s] - sum_j delta_j.

By normal regression delta_j = kappa_j e_j, with the innovation
e_j = s_j - E[s_j | s_(-j)] = (Q s)_j / Q_jj of variance 1 / Q_jj, Q = Cov(s)^-1, and
b'E[C | s] = kappa's for the same kappa, which is non-negative after changing signs of signals and
their correlations. With d_j the standard deviation of delta_j over observational rows and
u_j = delta_j / d_j, kappa_j = d_j sqrt(Q_jj) and s = Q^-1 diag(sqrt(Q_jj)) u, hence

    B = d'(M - I) u,    M = D T D,    D = diag(T^-1)^(1/2).                                 (1)

The fit determines all of (1) but T, on which the data are silent.

**Bound.** With t_j = g_j sqrt(r_j), |t_j| <= sqrt(rho), T is a one-factor correlation matrix.
D_jj^2 is the variance inflation factor of signal j given the others. It increases in every |t_k|,
so its maximum is at t_k^2 = rho for all k,

    v = 1 / (1 - R^2),    R^2 = (K - 1) rho^2 / (1 + (K - 2) rho).

As d_j u_j = delta_j, the diagonal of (1) contributes sum_j (D_jj^2 - 1) delta_j, and the rest
sum_(j<k) T_jk D_jj D_kk (d_j u_k + d_k u_j) with |T_jk D_jj D_kk| <= rho v. Therefore

    -(v - 1) sum_j delta_j^-  -  rho v S  <=  B  <=  (v - 1) sum_j delta_j^+  +  rho v S,
    S = sum_(j<k) |d_j u_k + d_k u_j|,                                                      (2)

and the truth lies between the estimate minus the upper bound and the estimate minus the lower.

**Interacting causes.** Let the outcome of independent causes also have the terms c_jk C_j C_k. As
E[C_k | s_k] = delta_k / b_k, history has c_jk delta_j delta_k / (b_j b_k), regimes in which j or k
was set do not, and the combination sum_j m_j - (K - 1) m_0 has it once, with a minus sign. Its
standard deviation over observational rows is gamma_jk sqrt(d_j d_k), in units of the two biases. If
no gamma_jk exceeds gamma in absolute value, the error is at most

    gamma sum_(j<k) sqrt(d_j d_k) |u_j u_k|.                                                (3)

**Limits.** The bounds are for the combination of means of regimes with one action set. Rows with
several actions set move a fit towards the truth and make (2) conservative. Where b_k depends on
a_k, d_k is an average over the observational rows, and (2) holds on average but may fail at single
points. Outcomes that are nonlinear in the causes and signals far from normal are outside the
family.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from bayes_intgen._arguments import probabilities, probability, real_number
from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.defaults import usual_rows
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    labelled_points,
    prediction_of,
    support_of,
)
from bayes_intgen.posterior.fit_support import Query
from bayes_intgen.text.formats import format_number


def inflation(rho: Array, count: int) -> Array:
    """Maximum variance inflation factor v of one of ``count`` signals correlated up to ``rho``.

    Examples
    --------
    >>> float(inflation(np.array(0.5), 2).round(3))
    1.333
    """
    explained = (count - 1) * rho**2 / (1 + (count - 2) * rho)
    return np.asarray(1 / (1 - explained))


def bounds(delta: Array, sd: Array, rho: Array) -> tuple[Array, Array]:
    """Maximum distances of the estimate above and below the truth, eq. 2.

    Parameters
    ----------
    delta : ndarray, shape (..., K, M)
        Confounding biases at the points.
    sd : ndarray, shape (..., K)
        Standard deviations of the biases over observational rows.
    rho : ndarray, shape (R,)

    Returns
    -------
    above, below : ndarray, shape (..., R, M)
        Both non-negative.

    Examples
    --------
    >>> above, below = bounds(np.array([[1.0], [2.0]]), np.array([1.0, 1.0]), np.array([0.0, 0.5]))
    >>> above.round(2).tolist(), below.round(2).tolist()
    ([[0.0], [3.0]], [[0.0], [2.0]])
    """
    count = delta.shape[-2]
    scaled = delta / np.maximum(sd, np.finfo(float).tiny)[..., None]
    pairs = np.zeros((*delta.shape[:-2], delta.shape[-1]))
    for j, k in combinations(range(count), 2):
        pairs += np.abs(sd[..., [j]] * scaled[..., k, :] + sd[..., [k]] * scaled[..., j, :])
    v = inflation(rho, count)[:, None]
    crossed = rho[:, None] * v * pairs[..., None, :]
    rising = np.clip(delta, 0, None).sum(axis=-2)[..., None, :]
    falling = np.clip(-delta, 0, None).sum(axis=-2)[..., None, :]
    return (v - 1) * rising + crossed, (v - 1) * falling + crossed


def interaction_bound(delta: Array, sd: Array) -> Array:
    """Maximum distance of the estimate from the truth for gamma = 1, shape (..., M), eq. 3.

    Parameters are those of :func:`bounds`.

    Examples
    --------
    >>> interaction_bound(np.array([[1.0], [4.0]]), np.array([1.0, 4.0])).tolist()
    [2.0]
    """
    scaled = np.abs(delta) / np.sqrt(np.maximum(sd, np.finfo(float).tiny))[..., None]
    # The square of a sum has each product of two different summands twice.
    return np.asarray((scaled.sum(axis=-2) ** 2 - (scaled**2).sum(axis=-2)) / 2)


def sensitivity(
    posterior: PosteriorDraws,
    query: Query,
    rho: float | Sequence[float],
    interaction: float,
    level: float,
) -> xr.Dataset:
    """Posterior of the joint effect widened by its bounds, at the points of a query."""
    if not isinstance(posterior.model, AdditiveModel):
        raise ModelError("only additive models have biases that correlated causes could change")
    if posterior.model.link == "log":
        raise ModelError(
            "the bounds are for outcomes that add up; correlated causes would also change the "
            "variance of the logarithm, on which the mean of a multiplicative outcome depends. Fit "
            f"models.additive() to log {posterior.outcome_name} for bounds on its mean"
        )
    level = probability(level, "level", PointsError)
    rhos = rho if np.iterable(rho) else [rho]
    steps = np.array(probabilities(rhos, "rho", PointsError, or_zero=True))
    values, prediction = query.values, prediction_of(posterior)
    _, delta = prediction.contributions(values)
    sd = _bias_sd(posterior, prediction)
    gamma = real_number(interaction, "interaction", PointsError)
    if gamma < 0:
        raise PointsError(f"interaction must be at least 0, not {format_number(gamma)}")
    of_products = gamma * interaction_bound(delta, sd)[..., None, :]
    above, below = (bound + of_products for bound in bounds(delta, sd, steps))
    effect = prediction.mean(values, query.mask)[..., None, :]
    tail = (1 - level) / 2
    dims = ("rho", "point")
    table = labelled_points(posterior, values).assign_coords(rho=steps)
    table.attrs |= {"level": level, "outcome_kind": prediction.law.kind}
    return table.assign(
        effect=("point", effect.mean(axis=(0, 1))[0]),
        above=(dims, above.mean(axis=(0, 1))),
        below=(dims, below.mean(axis=(0, 1))),
        low=(dims, np.quantile(effect - above, tail, axis=(0, 1))),
        high=(dims, np.quantile(effect + below, 1 - tail, axis=(0, 1))),
    )


def _bias_sd(posterior: PosteriorDraws, prediction: Prediction) -> Array:
    """Root mean square of each bias over observational rows, shape (chain, draw, K).

    Biases that depend on covariates are averages over the population of the prediction.
    """
    _, delta = prediction.contributions(usual_rows(support_of(posterior).reference))
    return np.asarray(np.sqrt((delta**2).mean(axis=-1)))
