"""A fit with the rows that it was fitted to: ArviZ's groups, and its generative NumPyro program."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.models import Model
from bayes_intgen.models.carryover import carried_over
from bayes_intgen.models.terms import Decomposition, PseudoObservations
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.posterior.population import fixed_scales
from bayes_intgen.posterior.prior import prior_draws
from bayes_intgen.posterior.schema import draw_coordinates, hyperparameter_draws

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
    matrix : ndarray, shape (n, P)
        Basis functions of every term in every row, zero where the term does not act.
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
    matrix: Array
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
        rows = self.matrix, self.relative_sd, observed, self.lift_tests
        self.model.program(self.terms, *rows, fixed=self.fixed, own_units=True)


class FittedRows(PosteriorDraws):
    """Methods of a posterior that take the rows of the fit."""

    @takes_rng
    def to_arviz(
        self,
        data: Rows | None = None,
        points: Any = None,
        *,
        rows: int | None = 2000,
        seed: Seed = 0,
    ) -> xr.DataTree:
        """Convert the posterior to ArviZ's schema, for all of ArviZ's functions.

        With data, ``az.loo``, ``az.compare``, ``az.loo_pit`` and ``az.psense_summary`` use the
        log densities of rows and hyperparameters, ``az.plot_ppc_dist`` and
        ``az.plot_prior_posterior`` the draws from posterior and prior.

        Parameters
        ----------
        data : Observations, StreamedData or DistributedData, optional
            The data of the fit; of rows out of memory their sample is used.
        points : points as in :meth:`joint_effect`, optional
            Where joint effects are wanted.
        rows : int or None
            Maximum number of rows, sampled at random; None for all. The same seed samples the
            same rows, as comparisons of models need.
        seed : int or Generator
            Seed of rows, of outcomes, and of draws from the prior.

        Returns
        -------
        DataTree
            Groups ``posterior``, ``sample_stats`` and ``constant_data`` of the fit. With points
            ``effects``, whose variable ``effect`` has dims (chain, draw, point). With data
            ``observed_data``, ``posterior_predictive``, ``prior_predictive`` and
            ``log_likelihood``, each with ``outcome`` at the same coordinates ``row``, the
            positions of rows in memory; ``prior``, which has the variables of ``posterior`` and
            as many draws; and ``log_prior``, the prior density of the hyperparameters, with the
            coefficients marginalised. The prior is that of the terms of the fit, with scales that
            it did not sample, and its estimates of how the noise varies.

        Raises
        ------
        DataError
            Where the data have other actions, or ``rows`` is not positive.
        PointsError
            As :meth:`joint_effect`.

        Warns
        -----
        SupportWarning
            As :meth:`joint_effect`.

        Examples
        --------
        >>> import arviz as az
        >>> tree = posterior.to_arviz(data, points=[[0.1, 0.2]], rows=200)
        >>> bool(az.loo(tree).elpd < 0), tree["effects"]["effect"].dims
        (True, ('chain', 'draw', 'point'))
        """
        names = ("posterior", "sample_stats", "constant_data")
        groups = {name: self.tree[name].to_dataset() for name in names}
        if points is not None:
            groups["effects"] = self.joint_effect(points).to_dataset()
        if data is not None:
            groups |= self._groups_of_rows(data, rows, seed_number(seed))
        origin = {name: value for name, value in self.tree.attrs.items() if name != "format"}
        tree = xr.DataTree.from_dict({n: own.assign_attrs(origin) for n, own in groups.items()})
        tree.attrs = origin
        return tree

    def _groups_of_rows(self, data: Rows, rows: int | None, seed: int) -> dict[str, xr.Dataset]:
        """Groups of the outcomes of rows, and of the prior."""
        within = self._support.rows_of_fit(data).in_memory
        sample = np.arange(len(within))
        if rows is not None and whole_number(rows, "rows", 1, DataError) < len(sample):
            sample = np.sort(generator(seed, "rows").choice(len(sample), rows, replace=False))
        position = np.arange(len(within))
        if isinstance(data, Observations):
            # Rows without the earlier ones that act in them are left out.
            numbered = replace(data, outcome=np.arange(float(len(data))))
            kept = carried_over(numbered, self.terms.carryover).in_memory
            position = kept.outcome.astype(int)
        prediction, fixed = self._prediction, fixed_scales(self.tree)
        sites, coefficients = prior_draws(self.model, self.terms, prediction.sd.shape, seed, fixed)
        prior = replace(prediction, coefficients=coefficients, sd=sites["noise_sd"])
        draws = draw_coordinates(self.tree)
        rng, rng_of_prior = generator(seed, "outcome", 1), generator(seed, "prior", 1)
        by_rows = []
        size = prediction.sd.size * len(sample)
        for part in np.array_split(sample, -(-size // MAX_DENSITIES)):
            own = within.take(part)
            drawn, simulated = prediction.draw_rows(own, rng), prior.draw_rows(own, rng_of_prior)
            by_rows.append([prediction.log_density(own), drawn, simulated])
        dims, coords = ("chain", "draw", "row"), {**draws, "row": position[sample]}
        names = ("log_likelihood", "posterior_predictive", "prior_predictive")
        groups = {
            name: xr.Dataset({"outcome": (dims, np.concatenate(parts, axis=-1))}, coords)
            for name, parts in zip(names, zip(*by_rows, strict=True), strict=True)
        }
        groups["observed_data"] = xr.Dataset(
            {"outcome": ("row", within.outcome[sample])}, {"row": position[sample]}
        )
        own_draws = self.tree["posterior"].to_dataset()
        groups["log_prior"] = _log_prior(self.model, self.terms.without(fixed), own_draws)
        of_prior = hyperparameter_draws(self.terms, fixed, sites, coefficients, draws)
        groups["prior"] = of_prior[[name for name in own_draws.data_vars if name in of_prior]]
        return groups

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
            self.terms.design(data),
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
    log_densities = xr.Dataset(coords=draws.coords)
    for name, prior in terms.hyperpriors(model.noise_scale).sites.items():
        logs = np.log(draws[name].values)
        of_logs = ((logs - prior.log_median) / prior.sigma) ** 2 + np.log(2 * np.pi)
        log_densities[name] = draws[name].dims, -of_logs / 2 - np.log(prior.sigma) - logs
    return log_densities
