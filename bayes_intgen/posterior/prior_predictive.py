"""Prior predictive draws."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from numpyro.infer import Predictive

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._jax import double_precision
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.validation import checked_data
from bayes_intgen.models import Model, additive
from bayes_intgen.models.carryover import Periods, carried_over
from bayes_intgen.models.specification import checked_model
from bayes_intgen.models.terms import Decomposition


@takes_rng
def prior_predictive(
    data: Rows,
    model: Model | None = None,
    *,
    draws: int = 500,
    rows: int = 500,
    seed: Seed = 0,
) -> xr.DataTree:
    """Draw hyperparameters and outcomes from the prior, at rows of the data.

    Parameters
    ----------
    data : Rows
        Only actions, masks, and the outcome's mean and standard deviation enter.
    model : Model, optional
        By default ``additive()``.
    draws : int
    rows : int
        Maximum number of rows, evenly spaced over the data.
    seed : int

    Raises
    ------
    DataError, ModelError
        As :func:`bayes_intgen.fit`.

    Returns
    -------
    DataTree
        Groups ``prior`` and ``prior_predictive`` in ArviZ's schema: ``outcome`` has dims
        (chain, draw, row) and the outcome's units. The noise variance is constant over rows.

    Examples
    --------
    >>> tree = prior_predictive(data, draws=20)
    >>> tree["prior_predictive"]["outcome"].dims
    ('chain', 'draw', 'row')
    """
    model = additive() if model is None else checked_model(model)
    carried = carried_over(checked_data(data).in_memory, model.carryover)
    data = model.law.working_rows(carried).in_memory
    draws, rows = (whole_number(n, of, 1) for n, of in ((draws, "draws"), (rows, "rows")))
    seed = seed_number(seed)
    terms = model.decompose(data)
    positions = np.unique(np.linspace(0, len(data) - 1, min(rows, len(data))).astype(int))
    some = data.take(positions)
    with double_precision():
        sites = Predictive(model.program, num_samples=draws)(
            jax.random.key(seed),
            terms,
            jnp.asarray(terms.functions(some.inputs, periods=Periods.of(some))),
            jnp.asarray(terms.gates(some.intervened)),
            jnp.ones(len(positions)),
            own_units=True,
        )
        values = {name: np.asarray(site)[None] for name, site in sites.items()}
    return _to_tree(values, terms, positions)


def _to_tree(
    values: dict[str, Array], terms: Decomposition, positions: NDArray[np.int_]
) -> xr.DataTree:
    """Label sites, each (chain, draw, ...), in ArviZ's schema."""
    lead = ("chain", "draw")
    coords = {"chain": [0], "draw": np.arange(values["outcome"].shape[1])}
    prior = xr.Dataset(coords=coords)
    for name, labels in (("scale", terms.scaled), ("lengthscale", tuple(terms.lengthscales))):
        if name in values:
            prior = prior.assign_coords({f"{name}_of": list(labels)})
            prior[name] = ((*lead, f"{name}_of"), values[name])
    for name in ("noise_sd", "df"):
        if name in values:
            prior[name] = (lead, values[name])
    outcome = xr.Dataset(
        {"outcome": ((*lead, "row"), values["outcome"])},
        coords={**coords, "row": positions},
    )
    return xr.DataTree.from_dict({"prior": prior, "prior_predictive": outcome})
