"""Pilot fit with a few more rows: their statistics join those of the earlier ones."""

import numpy as np
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.graph import LIKELY_EDGE
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import row_weights, sufficient_statistics
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.lack_of_fit import LEVEL, FitTest, failed_tests, suspicious_tests
from bayes_intgen.inference.pilot.pilot import (
    PILOT_ROWS,
    SPREAD_ROWS,
    Pilot,
    fit_tests_of,
    next_finer,
    standardised_noise,
)
from bayes_intgen.inference.pilot.residuals import FarOutcomes, residuals
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import effective_units

# Maximum number of added rows, relative to those of the pilot fit: more of them would change the
# variance function, coordinates and knots, which stay.
MAX_GROWTH = 1 / 8
# Maximum distance of added rows beyond the range of an action, in its spreads: there functions are
# constant.
MAX_BEYOND = 1.0


def updated_pilot(
    pilot: Pilot, earlier: Observations, data: Observations, model: Model, progress: bool
) -> Pilot | None:
    """Find the mode given more rows, with the same terms and variance function.

    Parameters
    ----------
    pilot : Pilot
        Of the earlier rows.
    earlier, data : Observations
        Those rows, and all rows: first the earlier ones. Outcomes are on the model's scale.
    model : Model
    progress : bool

    Returns
    -------
    Pilot or None
        None if the rows need a new pilot fit: they are many, have other masks or lift tests, or lie
        beyond the range of an action; their outcomes vary more than the noise of the earlier fit;
        effects are averages over their covariates or groups; the noise is not Gaussian; other edges
        of the graph are likely; or a score test of all rows rejects the terms.
    """
    added = data.take(slice(len(earlier), None))
    before = pilot.mode
    terms, spread = before.terms, before.spread
    beyond = [
        coordinate.distance_outside(values).max() > MAX_BEYOND
        for coordinate, values in zip(terms.coordinates, added.actions.T, strict=True)
    ]
    if (
        len(added) > MAX_GROWTH * len(earlier)
        or data.regimes.keys() != earlier.regimes.keys()
        or data.lift_tests != earlier.lift_tests
        or model.carryover
        or len(data.columns)
        or model.noise != "gaussian"
        or any(beyond)
    ):
        return None
    residual = residuals(added, before, progress, of_fit=False)
    squares = row_weights(spread, added) * (residual / before.noise_sd) ** 2
    if chdtrc(len(added), float(squares.sum())) < LEVEL:
        return None
    # The probabilities of edges matter most of all that depends on the rows.
    terms = with_parents(data.sample(PILOT_ROWS).by_fine_group(), model, terms)
    if _likely_edges(terms) != _likely_edges(before.terms):
        return None
    # Lift tests are those of the earlier rows.
    sums = before.posterior.sums.merge(sufficient_statistics(added, terms, spread, progress))
    posterior = MarginalPosterior.of(model, terms, sums)
    mode = Mode.of(posterior, spread, progress, before.point)
    grown = _with_noise_and_tests(mode, pilot.covariance, data, model, progress)
    return None if failed_tests(grown.fit_tests) else grown


def _with_noise_and_tests(
    fit: Mode, covariance: Array | None, data: Observations, model: Model, progress: bool
) -> Pilot:
    """Complete a fit at its mode, with Gaussian noise: test its terms, and describe its noise."""
    terms, spread = fit.terms, fit.spread
    tests = next_finer(model, data, model.fit_tests(data), terms)
    rows = data.by_fine_group().sample(SPREAD_ROWS)
    residual = residuals(rows, fit, progress)
    of_unit = residual * np.sqrt(effective_units(rows.weights, spread.intraclass_correlation))
    noise = standardised_noise(of_unit, rows, spread, covariance)
    suspicious = suspicious_tests(tests, rows, noise.residuals, terms, len(data))
    names = {term.name for term in suspicious}
    passed = (FitTest.of(term) for term in tests if term.name not in names)
    failed = fit_tests_of(fit, suspicious, data, progress) if suspicious else ()
    return Pilot(
        fit,
        noise.quantiles,
        covariance=covariance,
        fit_tests=(*failed, *passed),
        far=FarOutcomes.of(data, rows, noise.noise),
    )


def _likely_edges(terms: Decomposition) -> list[list[bool]] | None:
    return None if terms.parents is None else (terms.parents > LIKELY_EDGE).tolist()
