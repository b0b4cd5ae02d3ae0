"""Comparison of a fit with the rows that it was fitted to: log likelihood, and its program."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import whole_number
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError, ModelError
from bayes_intgen.models import Model
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.posterior.schema import draw_coordinates, with_groups

if TYPE_CHECKING:
    from bayes_intgen.posterior.program import Program

# Maximum number of log densities (draws times rows) computed at once.
MAX_DENSITIES = 4_000_000


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
        self._support.refuse_other_rows(data)
        if rows is not None:
            rows = whole_number(rows, "rows", 1, DataError)
        hyperparameters = self.tree["posterior"].to_dataset()
        sampled = self.terms.without(self.tree["constant_data"].dataset["fixed_scale_of"].values)
        return with_groups(
            self.tree,
            {
                **_row_groups(
                    self._prediction, data.in_memory, rows, seed, draw_coordinates(self.tree)
                ),
                "/log_prior": _log_prior(self.model, sampled, hyperparameters),
            },
        )

    def program(self, data: Rows) -> "Program":
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
        from bayes_intgen.posterior.program import Program, fixed_in_noise_units

        self._support.refuse_other_rows(data)
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
        if data.in_memory is not data:
            raise DataError(
                "a program needs every row in memory; read the rows with RegimeData.from_frame"
            )
        fixed = fixed_in_noise_units(self.tree["constant_data"].to_dataset())
        scale = self._prediction.law.noise.relative_scale
        fixed = {name: ratio / scale for name, ratio in fixed.items()}
        return Program.of(self.model, self.terms, fixed, self.spread, data.in_memory)


def _row_groups(
    prediction: Prediction,
    data: Observations,
    rows: int | None,
    seed: int,
    coords: Mapping[str, NDArray[np.int_]],
) -> dict[str, xr.Dataset]:
    """Log densities and posterior predictive draws of row outcomes, as groups of a tree.

    Parameters
    ----------
    prediction : Prediction
    data : Observations
    rows : int or None
        Number of rows, sampled at random; None for all.
    seed : int
    coords : mapping
        Coordinates of the dims ``chain`` and ``draw``.
    """
    sample = np.arange(len(data))
    if rows is not None and rows < len(data):
        sample = np.sort(generator(seed, "rows").choice(len(data), rows, replace=False))
    rng = generator(seed, "outcome", 1)
    log_density, outcome = [], []
    for part in np.array_split(sample, -(-prediction.sd.size * len(sample) // MAX_DENSITIES)):
        own = data.take(part)
        log_density.append(prediction.log_density(own))
        outcome.append(prediction.draw_rows(own, rng))

    def labelled(draws: list[Array]) -> xr.Dataset:
        values = (("chain", "draw", "row"), np.concatenate(draws, axis=-1))
        return xr.Dataset({"outcome": values}, {**coords, "row": sample})

    return {
        "/log_likelihood": labelled(log_density),
        "/posterior_predictive": labelled(outcome),
        "/observed_data": xr.Dataset({"outcome": ("row", data.outcome[sample])}, {"row": sample}),
    }


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
        densities: dict[str, dist.Distribution] = {
            name: dist.LogNormal(prior.log_median, prior.sigma)
            for name, prior in model.hyperpriors(terms).sites.items()
        }
        for name, density in densities.items():
            values = np.asarray(density.log_prob(draws[name].values))
            log_densities[name] = draws[name].dims, values
    return log_densities
