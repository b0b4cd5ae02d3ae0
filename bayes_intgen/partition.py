"""Which coefficients to integrate out together: groups of terms that know of each other.

Integrating all coefficients out at once costs the cube of their number; in groups, the cube of the
largest group's. :mod:`bayes_intgen.groups` neglects what posterior covariances between groups do
in second order: in the log determinant that is tr(T K T K) / 4, K the covariances between groups
at a reference point of the hyperparameters and T = (D^-1 + C)^-1, D by how much prior precisions
have grown since and C the covariances within. So terms that share most of it belong together.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.gram import Sums

# Sizes of groups, from small to large: the first that keeps together what must be is taken.
SIZES = (24, 32, 40, 48, 56, 64, 80, 96)
# Log density that two terms may share and be in different groups: where it is three times as much,
# what is neglected comes to several nats far from the reference point, and what is kept of it falls
# without end, so that chains run away.
MOST_SHARED = 0.01
# Prior variances have a floor of this share of what the data alone leave of each coefficient:
# of those below it the data say nothing, and ratios of them would overflow.
FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class Reference:
    """The coefficients at one point of the hyperparameters.

    In units of their prior standard deviations there, themselves in units of the noise's.

    Attributes
    ----------
    posterior : Collapsed
    sd, floor : ndarray, shape (P,)
        Those units, and least prior variances in units of the noise's.
    matrix, covariance : ndarray, shape (P, P)
        Precision and covariance of the coefficients.
    mean : ndarray, shape (P,)
    log_det : float
        Of the precision.
    squares : float
        What the coefficients leave of the sum of squares, their prior's part in it included.
    """

    posterior: Collapsed
    sd: Array
    floor: Array
    matrix: Array
    covariance: Array
    mean: Array
    log_det: float
    squares: float

    @classmethod
    def of(cls, posterior: Collapsed, flat: Array) -> Self:
        """At hyperparameters ``flat``, shape (D,).

        Raises LinAlgError where rounding leaves the coefficients no joint distribution.
        """
        priors = posterior.priors
        noise_sd = float(posterior.sites(flat)["noise_sd"])
        xx, xy, yy = _whole(posterior.sums, noise_sd)
        shift = xx @ priors.mean
        information = xy - shift
        squares = yy - 2 * priors.mean @ xy + priors.mean @ shift
        prior_sd = _prior_sd(posterior, flat)
        seen = np.diag(xx)
        floor = FLOOR / np.where(seen > 0, seen, prior_sd**-2.0)
        sd = np.sqrt(prior_sd**2 + floor)
        matrix = np.eye(len(sd)) + xx * np.outer(sd, sd)
        factor = cho_factor(matrix, lower=True)
        mean = cho_solve(factor, sd * information)
        return cls(
            posterior,
            sd,
            floor,
            matrix,
            cho_solve(factor, np.eye(len(sd))),
            mean,
            2 * float(np.sum(np.log(np.diag(factor[0])))),
            float(squares - information @ (sd * mean)),
        )

    def neglected(self, points: Array) -> Array:
        """What any two coefficients add to tr(T K T K) / 4 if in different groups, shape (P, P).

        Its size on average over points of the hyperparameters, shape (point, D), as if each
        coefficient were a group.
        """
        prior_sd = np.stack([_prior_sd(self.posterior, at) for at in points])
        grown = self.sd**2 / (prior_sd**2 + self.floor) - 1
        pull = np.abs(grown / (1 + grown * np.diag(self.covariance)))
        return np.asarray(self.covariance**2 * (pull.T @ pull) / (4 * len(points)))


def groups_of(reference: Reference, points: Array) -> list[NDArray[np.int_]]:
    """Coefficients that are integrated out together: whole terms, every one in one group.

    Parameters
    ----------
    reference : Reference
    points : ndarray, shape (point, D)
        Hyperparameters, scattered as draws of them are expected to be.

    Returns
    -------
    list of ndarray of int
        No larger than the first of ``SIZES`` with which no two terms in different groups share
        more than ``MOST_SHARED``; than the last where that is so with none.
    """
    terms, every = reference.posterior.terms, np.arange(reference.posterior.size)
    columns = [every[terms.columns[term.name]] for term in terms.terms]
    of_term = np.stack([np.isin(every, own) for own in columns], axis=1).astype(float)
    shared = of_term.T @ reference.neglected(points) @ of_term
    for most in SIZES:
        chosen = partition(shared, of_term.sum(axis=0), most)
        apart = shared + shared.T
        for group in chosen:
            apart[np.ix_(group, group)] = 0
        if apart.max() <= MOST_SHARED:
            break
    return [np.concatenate([columns[i] for i in group]) for group in chosen]


def partition(shared: Array, sizes: Array, most: int) -> list[list[int]]:
    """Groups of bounded size that share little with each other.

    One after the other those two groups are joined that share most, of all that fit together.

    Parameters
    ----------
    shared : ndarray, shape (n, n)
        How much any two of n share: symmetric, not negative.
    sizes : ndarray, shape (n,)
    most : int
        Largest sum of sizes in a group of more than one.

    Examples
    --------
    >>> shared = np.array([[0, 1, 9, 0], [1, 0, 0, 5], [9, 0, 0, 0], [0, 5, 0, 0]])
    >>> partition(shared, np.ones(4), most=3)
    [[0, 2], [1, 3]]
    """
    left, sizes = shared.astype(float), sizes.astype(float)
    np.fill_diagonal(left, -np.inf)
    groups = [[i] for i in range(len(sizes))]
    while True:
        left[sizes[:, None] + sizes > most] = -np.inf
        one, other = sorted(divmod(int(left.argmax()), len(sizes)))
        if left[one, other] < 0:
            return [group for group in groups if group]
        groups[one] += groups[other]
        groups[other] = []
        sizes[one] += sizes[other]
        left[one] += left[other]
        left[:, one] = left[one]
        # What has been joined fits nowhere.
        sizes[other] = np.inf


def _prior_sd(posterior: Collapsed, flat: Array) -> Array:
    """Prior standard deviations of the coefficients, in units of the noise's, shape (P,)."""
    sites = posterior.sites(flat)
    return np.asarray(np.exp(posterior.priors.log_sd_at(sites)) / float(sites["noise_sd"]))


def _whole(sums: Sums, noise_sd: float) -> tuple[Array, Array, float]:
    """X'X, X'y and y'y with known rows, that count as if the noise had this standard deviation."""
    xx, xy, yy = np.asarray(sums.xx), np.asarray(sums.xy), float(np.asarray(sums.yy))
    if sums.known is not None:
        known, outcome = np.asarray(sums.known.matrix), np.asarray(sums.known.outcome)
        xx = xx + noise_sd**2 * known.T @ known
        xy = xy + noise_sd**2 * known.T @ outcome
        yy += noise_sd**2 * float(outcome @ outcome)
    return xx, xy, yy
