"""Decision whether rows that are added to a fit need a new pilot fit.

A pilot fit chooses coordinates, functions, and the distribution of the noise. An eighth more rows
like the earlier ones would hardly change them.
"""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import weighted_design
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.predictive_tests import Predicted, is_predicted
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.models import Model

# Maximum number of added rows, relative to those of the pilot fit.
MAX_GROWTH = 1 / 8
# Maximum distance, in spreads of an action, of values beyond the range of the fit, at whose ends
# functions are constant, and maximum share of such rows.
MAX_BEYOND, MAX_SHARE_BEYOND = 1.0, 0.01
# Maximum distance of outcomes beyond those of the fit, relative to their range.
MAX_OUTCOME_BEYOND = 0.25
# Maximum number of rows whose outcomes are predicted, and number of draws for that.
MAX_PREDICTED, N_PREDICTIONS = 8_000, 200


def needs_new_pilot(
    data: Observations, count: int, model: Model, pilot: Pilot, sampled: SampledModel
) -> bool:
    """Whether rows added to a fit need a new pilot fit.

    They do if there are many or none, if they have other masks, lift tests, or values far beyond
    the range of the fit, or if the fit does not predict their outcomes. So do all rows with
    covariates or groups, over which effects are averages.

    Parameters
    ----------
    data : Observations
        All rows, the added ones last, with outcomes on the model's scale.
    count : int
        Number of rows of the pilot fit.
    model : Model
    pilot : Pilot
    sampled : SampledModel
        Draws given the rows of the pilot fit.
    """
    if not 0 < len(data) - count <= MAX_GROWTH * count:
        return True
    if model.link != "identity" or len(data.columns):
        return True
    known = 0 if pilot.sums.known is None else len(np.asarray(pilot.sums.known.outcome))
    if len(data.lift_tests) != known:
        return True
    added = data.take(slice(count, None))
    if any(data.regimes[mask] == number for mask, number in added.regimes.items()):
        return True
    low, high = np.min(data.outcome[:count]), np.max(data.outcome[:count])
    reach = MAX_OUTCOME_BEYOND * (high - low)
    if added.outcome.min() < low - reach or added.outcome.max() > high + reach:
        return True
    if not all(map(_is_within, pilot.posterior.terms.coordinates, added.actions.T)):
        return True
    some = added.sample(MAX_PREDICTED)
    return not is_predicted(some, _predicted(some, pilot, sampled))


def _is_within(coordinate: Coordinate, values: Array) -> bool:
    """Whether hardly any values lie beyond the range of the fit, and none far beyond it."""
    distance = coordinate.distance_outside(values)
    few = max(MAX_SHARE_BEYOND * len(values), 2)
    return bool(distance.max() <= MAX_BEYOND and np.count_nonzero(distance) <= few)


def _predicted(added: Observations, pilot: Pilot, sampled: SampledModel) -> Predicted:
    matrix, outcome, weights = weighted_design(pilot.posterior.terms, pilot.spread, added)
    coefficients = sampled.coefficients.reshape(-1, matrix.shape[1])
    some = np.linspace(0, len(coefficients) - 1, N_PREDICTIONS).astype(int)
    mean = coefficients.mean(axis=0)
    return Predicted(
        outcome - matrix @ mean,
        float(np.mean(sampled.sites["noise_sd"] ** 2)) / weights,
        matrix @ (coefficients[some] - mean).T,
        pilot.shape,
    )
