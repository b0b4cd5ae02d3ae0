"""The posterior of the hyperparameters, coefficients integrated out, for given sums over rows."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Self

import jax
import numpy as np
from tqdm.auto import tqdm

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.flat_hyperprior import (
    Evidence,
    FlatPrior,
    given_of,
    potential_of,
)
from bayes_intgen.inference.density.log_density import Energy, FlatLayout, LogDensity, processor
from bayes_intgen.inference.density.minimise import minimise
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.evidence import log_marginal, log_marginal_and_draw
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models import Model
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.terms import Decomposition

# Log density by which a mode may be improved a little by one more step, where that will do.
NEAR = 0.03
# How far from the prior median a search may stray, in prior standard deviations: farther out the
# prior's density is nil, and numbers overflow.
REACH = 10


class MarginalPosterior:
    """The posterior of the hyperparameters under a decomposition, given sums over rows.

    Over their logarithms, laid flat: ``layout`` says how.

    Parameters
    ----------
    priors : Hyperpriors
    sums : SufficientStatistics
        Over the columns that the priors are about.
    terms : Decomposition
        Whose hyperparameters these are.
    """

    def __init__(
        self, priors: Hyperpriors, sums: SufficientStatistics, terms: Decomposition
    ) -> None:
        self.priors, self.sums, self.terms = priors, sums, terms
        self.layout = FlatLayout(self.priors.start)
        self.prior = FlatPrior.of(priors, self.layout)
        self.start, self.prior_sd = self.prior.mean, self.prior.sd

    @classmethod
    def of(cls, model: Model, terms: Decomposition, sums: SufficientStatistics) -> Self:
        """Under a model's priors."""
        return cls(model.hyperpriors(terms), sums, terms)

    @property
    def size(self) -> int:
        """Number of coefficients P."""
        return len(self.priors.mean)

    @cached_property
    def density(self) -> LogDensity:
        """As NUTS takes it.

        Padded to a multiple of 8 coefficients, so that fits of nearly equal size share what is
        compiled.
        """
        size = -(-self.size // 8) * 8
        sums = self.sums.centred_at(self.priors.mean).padded(size)
        density = self.density_of(log_marginal, self.priors.padded(size), sums, self.energy)
        given = given_of(log_marginal_and_draw, self.layout)
        return density._replace(given=given, given_size=size, draw=self.draw)

    def draw(self, flat: Array, normal: Array) -> Array:
        """A draw of the coefficients given the hyperparameters, with nothing to compile.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        normal : ndarray, shape (P + padding,)
            Standard normal numbers; those beyond P stand for coefficients that touch nothing.

        Returns
        -------
        ndarray, shape (P + padding,)
        """
        given = self.given(self.sites(flat))
        drawn = given.mean + given.root @ normal[: self.size]
        return np.concatenate([drawn, normal[self.size :]])

    def density_of(
        self, evidence: Evidence, priors: Hyperpriors, found: Any, energy: Energy
    ) -> LogDensity:
        """The density with some evidence, of coefficients with such priors.

        On the processor: an accelerator would wait for the next step most of the time.
        """
        data = jax.tree.map(np.asarray, (self.prior, priors, found))
        return LogDensity(
            potential_of(evidence, self.layout), jax.device_put(data, processor()), energy
        )

    def sites(self, flat: Array) -> dict[str, Array]:
        """Hyperparameters by name, shape (..., D) to (..., *shape of the site)."""
        return self.layout.sites(np.exp(flat))

    def point(self, sites: Mapping[str, Any], terms: Decomposition) -> Array:
        """Hyperparameters found for other terms, as a starting point of these, shape (D,).

        Those that have none there start at their prior medians.
        """
        start = self.start.copy()
        labels, own = labels_of(terms), labels_of(self.terms)
        for name, index in self.layout.positions.items():
            if name not in labels:
                start[index] = np.log(sites[name])
                continue
            known = dict(zip(labels[name], np.log(sites.get(name, ())), strict=True))
            for i, label in zip(index, own[name], strict=True):
                start[i] = known.get(label, start[i])
        return start

    def given(self, sites: Mapping[str, Any]) -> Conditional:
        """The coefficients given the hyperparameters."""
        log_sd = self.priors.log_sd(sites)
        return Conditional.of(self.sums, self.priors.mean, log_sd, float(sites["noise_sd"]))

    def moments(self, sites: Mapping[str, Any]) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given the hyperparameters."""
        given = self.given(sites)
        return given.mean, given.covariance

    def value(self, flat: Array) -> float:
        """Minus the log density alone."""
        return -self.given(self.sites(flat)).log_evidence - float(self.prior.log_density(flat))

    def energy(self, flat: Array) -> tuple[float, Array]:
        """Minus the log density, and its gradient, shape (D,), with nothing to compile."""
        given = self.given(self.sites(flat))
        return self.with_prior(flat, self.priors, given.log_evidence, *given.gradient())

    def with_prior(
        self,
        flat: Array,
        priors: Hyperpriors,
        log_evidence: float,
        towards_log_sd: Array,
        towards_noise: float,
    ) -> tuple[float, Array]:
        """Minus the log density, and its gradient, given what the rows say.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        priors : Hyperpriors
            Of the coefficients by whose prior standard deviations the derivatives are.
        log_evidence : float
        towards_log_sd : ndarray, shape (number of coefficients,)
        towards_noise : float
            Derivatives of ``log_evidence`` by logarithms.
        """
        towards = priors.towards_sites(self.sites(flat), towards_log_sd)
        towards["noise_sd"] = np.asarray(towards_noise)
        gradient = (flat - self.start) / self.prior_sd**2 - self.layout.flat(towards)
        return float(-log_evidence - self.prior.log_density(flat)), gradient

    def mode(self, start: Array, progress: bool, tolerance: float = 1e-6) -> Array:
        """The hyperparameters of highest density over their logarithms, shape (D,).

        That is where a search from ``start`` ends: where a step adds less than ``tolerance`` to
        the log density.
        """
        # In units in which the curvature is of order one the search takes a quarter of the
        # steps: prior sds, but for the noise, which N rows know to 1 / sqrt(2 N).
        units = self.prior_sd.copy()
        noise = self.layout.positions["noise_sd"]
        units[noise] = np.minimum(units[noise], 4 / np.sqrt(2 * float(np.asarray(self.sums.rows))))
        reach = REACH * self.prior_sd
        bounds = np.stack([self.start - reach, self.start + reach], axis=1) / units[:, None]
        with progress_bar(progress) as bar:

            def energy(scaled: Array) -> tuple[float, Array]:
                bar.update()
                value, gradient = self.energy(scaled * units)
                return value, gradient * units

            return minimise(energy, start / units, tolerance, bounds)[0] * units

    def covariance(self, mode: Array) -> Array:
        """Inverse curvature at the mode, never much wider than the prior, shape (D, D).

        By forward differences of the gradient: an estimate that sampling starts from.
        """
        step = 1e-3 * self.prior_sd

        def gradient(at: Array) -> Array:
            return self.energy(at)[1]

        with ThreadPoolExecutor() as pool:
            at_mode, *moved = pool.map(gradient, [mode, *(mode + np.diag(step))])
        rows = (np.array(moved) - at_mode) / step[:, None]
        units = np.outer(self.prior_sd, self.prior_sd)
        hessian = (rows + rows.T) / 2 * units
        values, vectors = np.linalg.eigh(hessian)
        root = self.prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return np.asarray(root @ root.T)


def labels_of(terms: Decomposition) -> dict[str, tuple[str, ...]]:
    """The terms of the scales and the labels of the lengthscales, by site."""
    return {"scale": tuple(terms.scaled), "lengthscale": tuple(terms.lengthscales)}


def progress_bar(progress: bool) -> Any:
    """A bar that counts the steps of a search."""
    return tqdm(desc="Search for the mode", unit=" steps", leave=False, disable=not progress)
