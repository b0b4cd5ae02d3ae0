"""Pointwise log likelihood and log prior, with which ArviZ compares models."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.models import Model
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition

# Maximum number of log densities (draws times rows) computed at once.
MAX_DENSITIES = 4_000_000


def row_groups(
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


def log_prior(model: Model, terms: Decomposition, draws: xr.Dataset) -> xr.Dataset:
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
