r"""How far the joint effect could move if hidden causes of different actions were correlated.

The method takes the hidden causes C_1, ..., C_K to be independent. What follows bounds the
error of the joint effect if they are not, in a family with one more parameter, rho.

**The family.** The causes have mean zero, variance one, and correlations that they owe to one
cause that they share, Corr(C_j, C_k) = g_j g_k with g_k^2 <= rho: no two are correlated by more
than rho, in either direction. The outcome is linear in them, f_k(a, C_k) = phi_k(a) + b_k C_k,
and what an action that was not set says of its cause, given its parents, is a normal signal
s_k = C_k + noise, with r_k = 1 / Var(s_k) the share of the cause in it. Causes and noises are
jointly normal.

**The error.** Let T be the correlation matrix of the signals, T_jk = g_j g_k sqrt(r_j r_k) for
j != k. With m_R the mean outcome in a regime at the same values a of all actions,

    m_0 = level + sum_k phi_k + b'E[C | s],    m_j = level + sum_k phi_k + b'E[C | s_(-j)],

because a set action tells nothing. The fit takes delta_j = m_0 - m_j for the bias and
sum_j m_j - (K - 1) m_0 for the joint effect, which is level + sum_k phi_k + B with

    B = b'E[C | s] - sum_j delta_j.

By the rules of normal regression delta_j = kappa_j e_j, with the innovation
e_j = s_j - E[s_j | s_(-j)] = (Q s)_j / Q_jj, Q = Cov(s)^-1, and b'E[C | s] = kappa's for the
same kappa, none of it negative (turn the sign of a signal and of its correlations if need be).
The innovation's variance is 1 / Q_jj. So, with d_j the standard deviation of
delta_j over observational rows and u_j = delta_j / d_j its value at the point in those units,
kappa_j = d_j sqrt(Q_jj) and s = Q^-1 diag(sqrt(Q_jj)) u, hence

    B = d'(M - I) u,    M = D T D,    D = diag(T^-1)^(1/2).                                 (1)

All of this but T is known from the fit: T is what the data do not say.

**The bound.** With t_j = g_j sqrt(r_j), |t_j| <= sqrt(rho), T is a one-factor correlation matrix.
D_jj^2 is the variance inflation of signal j given the others. It grows with every |t_k|, so it
is at most its value where all t_k^2 = rho,

    v = 1 / (1 - R^2),    R^2 = (K - 1) rho^2 / (1 + (K - 2) rho).

The diagonal of (1) gives sum_j (D_jj^2 - 1) delta_j, as d_j u_j = delta_j, and the rest
sum_(j<k) T_jk D_jj D_kk (d_j u_k + d_k u_j), with |T_jk D_jj D_kk| <= rho v. So

    -(v - 1) sum_j delta_j^-  -  rho v S  <=  B  <=  (v - 1) sum_j delta_j^+  +  rho v S,
    S = sum_(j<k) |d_j u_k + d_k u_j|,                                                      (2)

and the truth lies between the estimate less the upper and the estimate less the lower bound. To
first order in rho the bound is rho S: it is small where the biases are, and none is needed where
at most one action is confounded. It is attained for two actions whose signals are their causes.

**What it is not.** It is of the mean in regimes where each action was set alone, whose
combination the fit estimates; rows with several actions set pull a fit towards the truth, which
makes (2) wider than need be. Where b_k changes with a_k, d_k is an average over the
observational rows, and (2) holds on average but may fail at single points. Outcomes that are not
linear in the causes, or signals far from normal, are outside the family.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.errors import ModelError, PointsError, SavedFitError
from bayes_intgen.models import AdditiveModel
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of


def inflation(rho: Array, count: int) -> Array:
    """The largest variance inflation v of one of ``count`` signals correlated up to ``rho``.

    Examples
    --------
    >>> float(inflation(np.array(0.5), 2).round(3))
    1.333
    """
    explained = (count - 1) * rho**2 / (1 + (count - 2) * rho)
    return np.asarray(1 / (1 - explained))


def bounds(delta: Array, sd: Array, rho: Array) -> tuple[Array, Array]:
    """How far the estimate may lie above the truth, and how far below it, eq. 2.

    Parameters
    ----------
    delta : ndarray, shape (..., K, M)
        Confounding biases at the points.
    sd : ndarray, shape (..., K)
        Their standard deviations over observational rows.
    rho : ndarray, shape (R,)

    Returns
    -------
    above, below : ndarray, shape (..., R, M)
        Neither is negative.

    Examples
    --------
    >>> above, below = bounds(np.array([[1.0], [2.0]]), np.array([1.0, 1.0]), np.array([0.0, 0.5]))
    >>> above.round(2).tolist(), below.round(2).tolist()
    ([[0.0], [3.0]], [[0.0], [2.0]])
    """
    count = delta.shape[-2]
    scaled = delta / np.maximum(sd, np.finfo(float).tiny)[..., None]
    pairs = np.zeros((*delta.shape[:-2], delta.shape[-1]))
    for j in range(count):
        for k in range(j):
            pairs += np.abs(sd[..., [j]] * scaled[..., k, :] + sd[..., [k]] * scaled[..., j, :])
    v = inflation(rho, count)[:, None]
    crossed = rho[:, None] * v * pairs[..., None, :]
    rising = np.clip(delta, 0, None).sum(axis=-2)[..., None, :]
    falling = np.clip(-delta, 0, None).sum(axis=-2)[..., None, :]
    return (v - 1) * rising + crossed, (v - 1) * falling + crossed


def sensitivity(
    posterior: PosteriorDraws, values: Array, rho: float | Sequence[float], level: float
) -> xr.Dataset:
    """Posterior of the joint effect moved by its bounds, at validated points, shape (M, K)."""
    if not isinstance(posterior.model, AdditiveModel):
        raise ModelError("only models.additive() has biases that correlated causes could change")
    try:
        steps = np.atleast_1d(np.asarray(rho, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise PointsError(f"rho must be correlations ({error})") from error
    if steps.ndim != 1 or not ((steps >= 0) & (steps < 1)).all():
        raise PointsError("rho must be correlations from 0 to below 1: 0.2, or a list of them")
    if not 0 < level < 1:
        raise PointsError(f"level must lie between 0 and 1, not {level}")
    reference = support_of(posterior).reference
    if reference is None:
        raise SavedFitError("the fit was saved by a version that kept no rows; fit again")
    by_mask = dict(zip(reference.masks, reference.rows, strict=True))
    observational = (False,) * len(posterior.actions)
    observed = by_mask.get(observational, np.concatenate(reference.rows))
    prediction = prediction_of(posterior)
    _, over_rows = prediction.contributions(observed)
    sd = np.sqrt((over_rows**2).mean(axis=-1))
    _, delta = prediction.contributions(values)
    above, below = bounds(delta, sd, steps)
    effect = prediction.mean(values, np.ones(values.shape, dtype=bool))[..., None, :]
    tail = (1 - level) / 2
    dims = ("rho", "point")
    return xr.Dataset(
        {
            "effect": ("point", effect.mean(axis=(0, 1))[0]),
            "above": (dims, above.mean(axis=(0, 1))),
            "below": (dims, below.mean(axis=(0, 1))),
            "low": (dims, np.quantile(effect - above, tail, axis=(0, 1))),
            "high": (dims, np.quantile(effect + below, 1 - tail, axis=(0, 1))),
        },
        coords={
            "rho": steps,
            "point": np.arange(len(values)),
            "action": list(posterior.actions),
            "value": (("action", "point"), decoded_table(values, posterior.categories).T),
        },
        attrs={"level": level, "outcome": str(posterior.tree.attrs["outcome"])},
    )
