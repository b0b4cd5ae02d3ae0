"""The multiplicative model: positive outcomes whose logarithm is additive.

    log Y = c + sum_k phi_k(a_k) + sum_(j<k) psi_jk(a_j, a_k) + sum_k (1 - R_k) delta_k(a) + noise

It is the additive model with a log link. Effects are of the outcome itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bayes_intgen.models.additive import (
    AdditiveModel,
    CovariatePrior,
    Interactions,
    additive,
)
from bayes_intgen.models.base import Prior, SpreadName
from bayes_intgen.models.mechanisms.mechanism import LogNormal


def multiplicative(
    prior: Prior = "gp",
    graph: Mapping[str, Sequence[str] | None] | Literal["any"] | None = None,
    *,
    unconfounded: Mapping[str, Prior] | None = None,
    bias: Mapping[str, Prior] | None = None,
    covariates: Mapping[str, CovariatePrior | Sequence[CovariatePrior]] | None = None,
    moderators: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    interactions: Interactions = "auto",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> AdditiveModel:
    """Build a model of positive outcomes that multiply: revenue, durations, concentrations.

    The logarithm of the outcome is additive. Effects, outcomes, pictures and scores are of the
    outcome itself: ``joint_effect`` is E[Y | do(a)], not the exponential of a mean of logarithms,
    and ``posterior.ratio`` gives relative effects. Contributions of single actions
    (``posterior.mechanisms``) are of the logarithm.

    Parameters
    ----------
    prior, graph, unconfounded, bias, covariates, moderators, groups, interactions, spread
        As in :func:`additive`, for the logarithm of the outcome.
    noise_scale : LogNormal, optional
        Prior of the noise standard deviation, in standard deviations of the logarithm.
    intercept : (mean, sd), optional
        Normal prior of the intercept of the logarithm.

    Returns
    -------
    AdditiveModel
        With ``link="log"``. A fit raises DataError if an outcome is not positive, and ModelError
        for lift tests and for rows that are means of several units. There is no Student-t noise,
        under which the outcome would have no mean.

    Raises
    ------
    ModelError
        On unknown names.

    Examples
    --------
    >>> multiplicative(graph={"green": ["red"]}).link
    'log'
    """
    model = additive(
        prior,
        graph,
        unconfounded=unconfounded,
        bias=bias,
        covariates=covariates,
        moderators=moderators,
        groups=groups,
        interactions=interactions,
        spread=spread,
        noise_scale=noise_scale,
        intercept=intercept,
    )
    return replace(model, link="log")
