"""Passes over the rows, batch by batch: all that fitting needs of them."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.distributed import DistributedData
from bayes_intgen.gram import KnownRows, Sums
from bayes_intgen.noise import ConstantSpread, Spread
from bayes_intgen.regimes import RegimeData
from bayes_intgen.streamed import Rows

ROWS_PER_BATCH = 8192


def batches(data: Rows, what: str, progress: bool) -> Iterator[RegimeData]:
    """The data in pieces, with a bar that counts rows."""
    with tqdm(
        total=len(data), desc=what, unit=" rows", unit_scale=True, leave=False, disable=not progress
    ) as bar:
        for batch in data.batches(ROWS_PER_BATCH):
            yield batch
            bar.update(len(batch))


def sums_over(
    data: Rows, terms: Decomposition, spread: Spread | ConstantSpread, progress: bool
) -> Sums:
    """Sums over all rows, each weighted by the inverse of its relative variance.

    Beside them stand the lift tests, if there are any.
    """
    what, of_batch = "Sums over rows", partial(weighted, terms, spread)
    # Before a pass that may take long: it raises where the model has no place for lift tests.
    known = known_rows(data, terms)
    if isinstance(data, DistributedData):
        sums = data.sums(of_batch, ROWS_PER_BATCH, what, progress)
    else:
        sums = Sums.over(map(of_batch, batches(data, what, progress)))
    return sums._replace(known=known)


def known_rows(data: Rows, terms: Decomposition) -> KnownRows | None:
    """The lift tests of the data as rows of known variance; None where there are none."""
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    return KnownRows(terms.differences(data.lift_tests) / se[:, None], effect / se, np.log(se))


def weighted(
    terms: Decomposition, spread: Spread | ConstantSpread, batch: RegimeData
) -> tuple[Array, Array, Array]:
    """The matrix of a batch, shape (n, P), its outcome and its weights, (n,) each."""
    return (
        terms.matrix(batch.actions, batch.intervened),
        batch.outcome - terms.centre,
        1.0 / spread(batch.actions, batch.intervened),
    )


def residuals(
    data: RegimeData, posterior: Collapsed, sites: dict[str, Array], progress: bool
) -> Array:
    """Residuals of a fit with constant spread, as wide as the noise is, shape (N,).

    A row pulls the fit towards itself by its leverage h: its residual's variance is 1 - h of
    its noise's (MacKinnon and White 1985, HC2).
    """
    terms = posterior.terms
    mean, covariance = posterior.moments(sites)
    relative = covariance / float(sites["noise_sd"]) ** 2
    pieces = []
    for batch in batches(data, "Residuals", progress):
        design = terms.matrix(batch.actions, batch.intervened)
        leverage = ((design @ relative) * design).sum(axis=1)
        residual = batch.outcome - terms.centre - design @ mean
        pieces.append(residual / np.sqrt(np.clip(1 - leverage, 0.05, 1)))
    return np.concatenate(pieces)
