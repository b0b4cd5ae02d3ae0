"""What is known before sampling: the mode, and how the noise's variance depends on rows."""

from typing import NamedTuple, Self

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.errors import DataError
from bayes_intgen.gram import Sums
from bayes_intgen.models import Model
from bayes_intgen.noise import ConstantSpread, Spread, SpreadEstimate, estimate_spread, shape_of
from bayes_intgen.passes import residuals, sums_over
from bayes_intgen.regimes import RegimeData

# Noise below this share of the outcome's standard deviation is rounding, not noise.
LEAST_NOISE = 1e-5


class Pilot(NamedTuple):
    """What is known before sampling: the noise's spread, the posterior it gives, its mode.

    ``shape`` holds quantiles of the standardised noise, and ``estimate`` the spread with its
    uncertainty where it is not constant.
    """

    spread: Spread | ConstantSpread
    sums: Sums
    posterior: Collapsed
    mode: Array
    sites: dict[str, Array]
    shape: Array
    estimate: SpreadEstimate | None = None

    @classmethod
    def of(
        cls,
        data: RegimeData,
        model: Model,
        terms: Decomposition,
        spread: Spread | ConstantSpread,
        progress: bool,
        start: Array | None = None,
    ) -> Self:
        sums = sums_over(data, terms, spread, progress)
        posterior = Collapsed(model, terms, sums)
        target = posterior.target
        mode = target.mode(target.start if start is None else start, progress)
        return cls(spread, sums, posterior, mode, target.constrain(mode), np.zeros(0))


def pilot_fit(data: RegimeData, model: Model, terms: Decomposition, progress: bool) -> Pilot:
    """Fit with one variance, estimate the variance function, and fit again with it.

    Raises DataError where the actions determine the outcome all but exactly.
    """
    first = Pilot.of(data, model, terms, ConstantSpread(), progress)
    noise_sd = float(first.sites["noise_sd"])
    if not noise_sd > LEAST_NOISE * terms.unit:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} all but exactly (noise of "
            f"{noise_sd:.1g} where its standard deviation is {terms.unit:.3g}), so there is "
            "nothing to infer; check that it was not computed from them"
        )
    found = residuals(data, first.posterior, first.sites, progress)
    if model.spread == "constant":
        return first._replace(shape=shape_of(found, np.ones(len(data))))
    estimate = estimate_spread(data.actions, data.intervened, found, terms.coordinates)
    variance = estimate.spread(data.actions, data.intervened)
    return Pilot.of(data, model, terms, estimate.spread, progress, first.mode)._replace(
        shape=shape_of(found, variance), estimate=estimate
    )
