"""A fit with the rows that it was fitted to: log likelihood, and its generative NumPyro program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from bayes_intgen._arguments import whole_number
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.models import Model
from bayes_intgen.models.carryover import Periods
from bayes_intgen.models.terms import Decomposition, PseudoObservations
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.posterior.population import fixed_scales
from bayes_intgen.posterior.schema import draw_coordinates, with_groups

if TYPE_CHECKING:
    from jax.typing import ArrayLike

# Maximum number of log densities (draws times rows) computed at once.
MAX_DENSITIES = 4_000_000


@dataclass(frozen=True, eq=False)
class Program:
    """A NumPyro program over hyperparameters, coefficients and rows.

    :meth:`bayes_intgen.Posterior.program` makes it. Its sites are ``scale``, ``lengthscale`` and
    ``noise_sd`` (those that the fit sampled), ``df`` where the noise is Student-t, ``weights``
    (the coefficients in units of their priors), ``coefficients``, and ``outcome``, in the
    outcome's units.

    Attributes
    ----------
    model : Model
    terms : Decomposition
        Selected terms included, with the prior medians estimated from the data.
    fixed : mapping from term to float
        Prior standard deviations that were not sampled, in units of ``noise_sd``.
    functions : ndarray, shape (n, P)
        Basis functions of every term in every row.
    gates : ndarray, shape (n, number of terms)
        Gate of each term in each row: how far the term acts there.
    relative_sd : ndarray, shape (n,)
        Standard deviation of each row's noise in units of ``noise_sd``, by the variance function.
    observed : ndarray, shape (n,)
        Outcome of the data.
    lift_tests : PseudoObservations, optional
        Lift tests of the data, on which the program is always conditioned.
    """

    model: Model
    terms: Decomposition
    fixed: Mapping[str, float]
    functions: Array
    gates: Array
    relative_sd: Array
    observed: Array
    lift_tests: PseudoObservations | None

    def __call__(self, outcome: "ArrayLike | Literal['observed'] | None" = "observed") -> None:
        """Run the program, inside a NumPyro handler.

        Parameters
        ----------
        outcome : "observed", None or array_like, shape (n,)
            By default the program is conditioned on the outcome of the data, with None on no
            outcome, otherwise on these values in the outcome's units.
        """
        observed = self.observed if isinstance(outcome, str) else outcome
        self.model.program(
            self.terms,
            self.functions,
            self.gates,
            self.relative_sd,
            observed,
            self.lift_tests,
            fixed=self.fixed,
            own_units=True,
        )


class FittedRows(PosteriorDraws):
    """Methods of a posterior that take the rows of the fit."""

    def with_log_likelihood(
        self, data: Rows, *, rows: int | None = 2000, seed: int = 0
    ) -> xr.DataTree:
        """Tree with the groups that ArviZ uses to compare and check models.

        ``az.loo``, ``az.compare`` and ``az.plot_loo_pit`` use the log densities and predictive
        draws of rows; ``az.psense_summary`` also uses the prior density of the hyperparameters,
        with the coefficients marginalised.

        Parameters
        ----------
        data : Observations, StreamedData or DistributedData
            The data of the fit; of rows out of memory their sample is used.
        rows : int or None
            Maximum number of rows, sampled at random; None for all. The same seed samples the
            same rows, as comparisons of models need.
        seed : int

        Returns
        -------
        DataTree
            The tree of the fit with groups ``log_likelihood``, ``log_prior``,
            ``posterior_predictive`` and ``observed_data``.

        Raises
        ------
        DataError
            Where the data have other actions, or ``rows`` is not positive.

        Examples
        --------
        >>> import arviz as az
        >>> bool(az.loo(posterior.with_log_likelihood(data, rows=200)).elpd < 0)
        True
        """
        data = self._support.rows_of_fit(data)
        if rows is not None:
            rows = whole_number(rows, "rows", 1, DataError)
        within, prediction = data.in_memory, self._prediction
        sample = np.arange(len(within))
        if rows is not None and rows < len(sample):
            sample = np.sort(generator(seed, "rows").choice(len(sample), rows, replace=False))
        rng = generator(seed, "outcome", 1)
        log_density, outcome = [], []
        size = prediction.sd.size * len(sample)
        for part in np.array_split(sample, -(-size // MAX_DENSITIES)):
            own = within.take(part)
            log_density.append(prediction.log_density(own))
            outcome.append(prediction.draw_rows(own, rng))

        def labelled(draws: list[Array]) -> xr.Dataset:
            values = (("chain", "draw", "row"), np.concatenate(draws, axis=-1))
            coords = {**draw_coordinates(self.tree), "row": sample}
            return xr.Dataset({"outcome": values}, coords)

        observed = {"outcome": ("row", within.outcome[sample])}
        sampled = self.terms.without(fixed_scales(self.tree))
        hyperparameters = self.tree["posterior"].to_dataset()
        return with_groups(
            self.tree,
            {
                "/log_likelihood": labelled(log_density),
                "/posterior_predictive": labelled(outcome),
                "/observed_data": xr.Dataset(observed, {"row": sample}),
                "/log_prior": _log_prior(self.model, sampled, hyperparameters),
            },
        )

    def program(self, data: Rows) -> Program:
        """Generative NumPyro program whose posterior was sampled.

        It contains the terms of this fit (selected ones included), the fixed scales in units of
        ``noise_sd``, the variance function, and the prior medians estimated from the data. Called
        without arguments it is conditioned on the data's outcome, for MCMC; called with
        ``outcome=None`` it draws normal (or Student-t) outcomes.

        Parameters
        ----------
        data : Observations
            The data of the fit.

        Returns
        -------
        Program

        Raises
        ------
        DataError
            Where the data have other rows, or their rows are not all in memory.
        ModelError
            Where the levels of a grouping are integrated out, or rows have an ``outcome_sd``.

        Notes
        -----
        With the coefficients marginalised, its density of the hyperparameters equals that of
        the fit up to a constant. With Student-t noise, of which it has the likelihood and the
        degrees of freedom, posteriors agree to first order only. Run it under
        ``jax.enable_x64(True)`` for more than six digits.

        Examples
        --------
        >>> import jax
        >>> from numpyro.infer import Predictive
        >>> samples = Predictive(posterior.program(data), num_samples=3)(jax.random.key(0), None)
        >>> samples["outcome"].shape == (3, len(data))
        True
        """
        from bayes_intgen.inference.gaussian.passes import pseudo_observations, relative_noise_sd

        data = self._support.rows_of_fit(data)
        columns = self.terms.covariates
        if columns.fine_grouping is not None:
            raise ModelError(
                f"the levels of {columns.every[columns.fine_grouping]!r} are integrated out, so "
                f"the fit has no program; fit with at most {MAX_GROUP_COLUMNS} groups for one"
            )
        if data.in_memory.within is not None:
            raise ModelError(
                "the fit used the standard deviations within its rows (outcome_sd), which no "
                "program of the rows' means has; fit without outcome_sd, or the units themselves"
            )
        if not isinstance(data, Observations):
            raise DataError(
                "a program needs every row in memory; read the rows with RegimeData.from_frame"
            )
        scale = self._prediction.law.noise.relative_scale
        return Program(
            self.model,
            self.terms,
            {name: ratio / scale for name, ratio in fixed_scales(self.tree).items()},
            self.terms.functions(data.inputs, periods=Periods.of(data)),
            self.terms.gates(data.intervened),
            relative_noise_sd(self.spread, data),
            data.outcome,
            pseudo_observations(data, self.terms),
        )


def _log_prior(model: Model, terms: Decomposition, draws: xr.Dataset) -> xr.Dataset:
    """Log prior density of each posterior draw of each hyperparameter.

    Parameters
    ----------
    model : Model
    terms : Decomposition
        Terms whose scale was sampled.
    draws : Dataset
        Group ``posterior`` of a fit.
    """
    # Results of a saved fit need no NumPyro, which takes long to import.
    import numpyro.distributions as dist

    from bayes_intgen._jax import double_precision

    log_densities = xr.Dataset(coords=draws.coords)
    with double_precision():
        for name, prior in model.hyperpriors(terms).sites.items():
            density = dist.LogNormal(prior.log_median, prior.sigma)
            values = np.asarray(density.log_prob(draws[name].values))
            log_densities[name] = draws[name].dims, values
    return log_densities
