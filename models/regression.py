"""Plain regressions, to compare with: they share too much between regimes, or nothing.

`pooled` forgets that actions were set, so that confounding biases its answers. `saturated`
has a regression of its own for every regime, as the estimator published with Kekić et al.
(2025, arXiv 2506.04945) but with products of two actions at most, and combines them: right,
but imprecise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.masks import Mask, is_identified
from bayes_intgen.models.base import (
    NOISE_SCALE,
    Model,
    Noise,
    Prior,
    SpreadName,
    as_mechanism,
    checked_noise,
)
from bayes_intgen.models.decomposition import regressions
from bayes_intgen.models.gates import Always, Gate, InRegime
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition


@dataclass(frozen=True)
class PooledModel(Model):
    """One regression for all rows; build it with :func:`pooled`."""

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        return regressions(data, self.mechanisms(data), {"f": Always()}, self.intercept, rows)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return True


@dataclass(frozen=True)
class SaturatedModel(Model):
    """A regression for each regime; build it with :func:`saturated`."""

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        regimes = tuple(data.regimes)
        gates: dict[str, Gate] = {
            data.label(mask): InRegime(regimes, i) for i, mask in enumerate(regimes)
        }
        return regressions(data, self.mechanisms(data), gates, self.intercept, rows)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return is_identified(regimes, target)


def pooled(
    prior: Prior = "gp",
    *,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> PooledModel:
    """One regression for all rows, whatever was set: E[Y | a] in place of E[Y | do(a)].

    Fitted to the observational rows alone it is the observational estimator; fitted to rows
    in which all actions were set, what one would use if such rows could be had.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        On names that are not known.

    Examples
    --------
    >>> pooled("polynomial").prior.degree
    3
    """
    noise, spread, intercept = checked_noise(noise, spread, intercept)
    return PooledModel(as_mechanism(prior), noise, spread, noise_scale or NOISE_SCALE, intercept)


def saturated(
    prior: Prior = "gp",
    *,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> SaturatedModel:
    """A regression for each regime, combined by the weights of the regimes.

    It assumes nothing of how the regimes differ, and so is what the additive model is
    checked against. What it predicts of a regime without data is the combination of its
    regressions that would give that regime's mean if the additive model held.

    Parameters
    ----------
    prior, noise, spread, noise_scale, intercept
        As in :func:`additive`.

    Raises
    ------
    ModelError
        On names that are not known.

    Examples
    --------
    >>> saturated("polynomial").prior.degree
    3
    """
    noise, spread, intercept = checked_noise(noise, spread, intercept)
    return SaturatedModel(as_mechanism(prior), noise, spread, noise_scale or NOISE_SCALE, intercept)
