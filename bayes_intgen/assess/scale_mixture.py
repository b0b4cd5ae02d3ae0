"""Bayes factors whose scales, and the presence of nuisance terms, are integrated out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.conditional import GRID, TermEvidence
from bayes_intgen.inference.gaussian.factor import ConditionalGaussian
from bayes_intgen.models.mechanisms.mechanism import LogNormal

# Quadrature nodes of a log scale, in prior standard deviations from the log median: for the tested
# coefficients, for one or two nuisance terms, and for more.
NODES, NUISANCE_NODES, FEW_NODES = GRID[8:73:8], GRID[16:65:8], GRID[16:65:16]
# Number of information vectors whose evidence is computed at once.
BATCH = 250
# Prior probability that a nuisance term is present.
PRESENT = 0.5


@dataclass(frozen=True, eq=False)
class ScaleMixture:
    """Likelihood of nuisance and tested coefficients, with priors of their scales.

    The prior of a nuisance term is a mixture of zero and of normal coefficients with a log-normal
    scale (spike and slab); that of the tested coefficients has a log-normal scale. A component is
    one combination of the nuisance terms' scales, of which there are m.

    Attributes
    ----------
    precision : ndarray, shape (r + q, r + q)
        Of the nuisance coefficients, followed by the tested ones.
    log_prior : ndarray, shape (m,)
        Log prior probability of each component, times its prior over its posterior volume.
    roots : ndarray, shape (m, r, r)
        ``roots[i] @ roots[i].T`` is the nuisances' posterior covariance.
    gains : ndarray, shape (m, r, q)
        Regression of the tested coefficients' information on the nuisances'.
    values, vectors : ndarray, shapes (m, q) and (m, q, q)
        Eigendecomposition of the precision of the tested coefficients.
    scale : LogNormal
        Prior of the tested coefficients' scale, in the outcome's units.
    """

    precision: Array
    log_prior: Array
    roots: Array
    gains: Array
    values: Array
    vectors: Array
    scale: LogNormal

    @classmethod
    def of(
        cls,
        precision: Array,
        sizes: Sequence[int],
        priors: Sequence[LogNormal],
        scale: LogNormal,
        unit: float,
    ) -> Self:
        """Prepare the likelihood for any information vector.

        Parameters
        ----------
        precision : ndarray, shape (r + q, r + q)
        sizes : sequence of int
            Numbers of coefficients of the nuisance terms, of sum r.
        priors : sequence of LogNormal
            Priors of their scales, in units of ``unit``.
        scale : LogNormal
            Prior of the tested coefficients' scale, in units of ``unit``.
        unit : float
        """
        nodes = NUISANCE_NODES if len(sizes) <= 2 else FEW_NODES
        log_weights = (np.log(PRESENT) + _log_weights(nodes)).tolist()
        absent = (0.0, float(np.log(1 - PRESENT)))
        scales = [prior.median * unit * np.exp(prior.sigma * nodes) for prior in priors]
        choices = [[absent, *zip(own.tolist(), log_weights, strict=True)] for own in scales]
        combinations = list(product(*choices))
        sd = np.array([np.repeat([s for s, _ in each], sizes) for each in combinations])
        weights = np.array([sum(weight for _, weight in each) for each in combinations])
        count = sd.shape[1]
        # In units of the prior, so that absent coefficients need no case of their own.
        own = np.eye(count) + sd[:, :, None] * precision[:count, :count] * sd[:, None, :]
        nuisances = ConditionalGaussian.of(own, sd[:, :, None] * precision[:count, count:])
        factors, cross = nuisances.factor, nuisances.half
        roots = sd[:, :, None] * np.linalg.inv(factors).transpose(0, 2, 1)
        tested = precision[count:, count:] - cross.transpose(0, 2, 1) @ cross
        values, vectors = np.linalg.eigh(tested)
        return cls(
            precision,
            weights - np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1),
            roots,
            roots @ cross,
            np.clip(values, 0, None),
            vectors,
            LogNormal(scale.median * unit, scale.sigma),
        )

    def log_bayes_factors(self, information: Array) -> Array:
        """Log Bayes factors of the tested coefficients, shape (n,), for (n, r + q)."""
        evidence, both = self._log_evidence(information)
        return np.asarray(np.logaddexp.reduce(both) - np.logaddexp.reduce(evidence))

    def null_mean(self, information: Array) -> Array:
        """Mean of the information under the null hypothesis, given the nuisances' posterior."""
        own = information[: self.roots.shape[1]]
        evidence, _ = self._log_evidence(information[None])
        weights = np.exp(evidence[:, 0] - np.logaddexp.reduce(evidence[:, 0]))
        mean = np.einsum("m,mij,mkj,k->i", weights, self.roots, self.roots, own, optimize=True)
        return np.asarray(self.precision[:, : len(own)] @ mean)

    def shift(self, coefficients: Array) -> Array:
        """Change of the information's mean if the tested coefficients have these values."""
        return np.asarray(self.precision[:, self.roots.shape[1] :] @ coefficients)

    def estimate(self, information: Array) -> Array:
        """Posterior mean of the tested coefficients at the nuisances' most probable scales."""
        _, both = self._log_evidence(information[None])
        best = int(np.argmax(both[:, 0]))
        count, values, vectors = self.roots.shape[1], self.values[best], self.vectors[best]
        score = vectors.T @ (information[count:] - information[:count] @ self.gains[best])
        scale = TermEvidence.of(values, score**2, self.scale).scale
        return np.asarray(vectors @ (score / (values + scale**-2.0)))

    def _log_evidence(self, information: Array) -> tuple[Array, Array]:
        """Log evidence of each component, without and with the tested coefficients, (m, n)."""
        batches = np.split(information, range(BATCH, len(information), BATCH))
        parts = zip(*map(self._log_evidence_of_batch, batches), strict=True)
        without, both = (np.concatenate(part, axis=1) for part in parts)
        return without, both

    def _log_evidence_of_batch(self, information: Array) -> tuple[Array, Array]:
        count = self.roots.shape[1]
        own, tested = information[:, :count], information[:, count:]
        without = self.log_prior[:, None] + 0.5 * ((own @ self.roots) ** 2).sum(axis=2)
        squares = ((tested - own @ self.gains) @ self.vectors) ** 2
        variance = np.exp(2 * (np.log(self.scale.median) + self.scale.sigma * NODES))[:, None]
        growth = 1 + variance * self.values[:, None, :]
        terms = (variance / growth) @ squares.transpose(0, 2, 1)
        terms -= np.log(growth).sum(axis=2)[:, :, None]
        added = np.logaddexp.reduce(0.5 * terms + _log_weights(NODES)[:, None], axis=1)
        return without, without + added


def _log_weights(nodes: Array) -> Array:
    """Log weights, of sum one, of quadrature nodes of a standard normal variable."""
    return np.asarray(-0.5 * nodes**2 - np.log(np.exp(-0.5 * nodes**2).sum()))
