"""Plain regressions as baselines.

`pooled` ignores which actions were set, so that its answers are confounded. `saturated` fits a
separate regression in each regime and combines them: unbiased but imprecise. It is the estimator of
Kekić et al. (2025, arXiv 2506.04945), with products of at most two actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.masks import Mask, is_identified
from bayes_intgen.models.base import Model, Noise, Prior, SpreadName, validated
from bayes_intgen.models.decomposition import regressions
from bayes_intgen.models.gates import Always, Gate, InRegime
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition


@dataclass(frozen=True)
class RegressionModel(Model):
    """Plain regressions; build them with :func:`pooled` or :func:`saturated`.

    Attributes
    ----------
    by_regime : bool
        Whether each regime has a regression of its own.
    """

    by_regime: bool

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        gates: dict[str, Gate] = {"f": Always()}
        if self.by_regime:
            regimes = tuple(data.regimes)
            gates = {data.label(mask): InRegime(regimes, i) for i, mask in enumerate(regimes)}
        return regressions(data, self.mechanisms(data), gates, self.intercept, rows, self.prior)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return not self.by_regime or is_identified(regimes, target)


def pooled(
    prior: Prior = "gp",
    *,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> RegressionModel:
    """Build a single regression on all rows, for E[Y | a] in place of E[Y | do(a)].

    On observational rows alone it is the observational estimator. On rows that set all actions it
    is the estimator one would use if such rows were available.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        On unknown names.

    Examples
    --------
    >>> pooled("polynomial").prior.degree
    3
    """
    return RegressionModel(*validated(prior, noise, spread, noise_scale, intercept), False)


def saturated(
    prior: Prior = "gp",
    *,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> RegressionModel:
    """Build separate regressions in each regime, combined with the weights of the regimes.

    The model assumes nothing about how the regimes differ, and therefore serves as the alternative
    when the additive model is checked. For a regime without data it predicts the combination of its
    regressions that is the regime's mean under the additive model.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        On unknown names.

    Examples
    --------
    >>> saturated("polynomial").prior.degree
    3
    """
    return RegressionModel(*validated(prior, noise, spread, noise_scale, intercept), True)
