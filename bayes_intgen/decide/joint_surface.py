"""Joint effect of a fit as a function of plans, on arrays."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.models.prediction import Prediction

# Plans that are evaluated at once under a log link.
PLANS_AT_ONCE = 1_000


@dataclass(frozen=True, eq=False)
class JointSurface:
    """Draws and posterior mean of E[Y | do(a)], at plans of shape (M, K).

    It is a sum over components: actions that interact, directly or through others, form one.
    Under a log link all actions do.

    Attributes
    ----------
    prediction : Prediction
        Without the terms that are zero where all actions are set.
    components : tuple of tuple of int
        Positions of the actions of each component.
    """

    prediction: Prediction
    components: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Remove the biases, which vanish under a joint intervention.

        Raises
        ------
        ModelError
            Under a log link, if units of the population differ in the effect of an action.
        """
        if prediction.factor_varies:
            raise ModelError(
                "under a multiplicative model whose effects differ between units, the mean over "
                "the population takes too long for a search; pass given, with a value for each "
                "covariate and grouping, or compare plans by posterior.joint_effect"
            )
        terms = prediction.terms
        count = len(terms.names)
        gates = terms.gates(np.ones((1, count), dtype=bool))[0]
        own = [term for term, gate in zip(terms.terms, gates, strict=True) if gate != 0]
        columns = np.concatenate(
            [np.arange(terms.size)[terms.columns[term.name]] for term in own]
        ).astype(int)
        reduced = replace(
            prediction,
            terms=replace(terms, terms=tuple(own)),
            coefficients=prediction.coefficients[..., columns],
        )
        pairs = [
            [i for i in term.inputs if i < count]
            for term in own
            if len({i for i in term.inputs if i < count}) > 1
        ]
        if not prediction.is_linear:
            return cls(reduced, (tuple(range(count)),))
        return cls(reduced, _connected(count, pairs))

    def draws(self, points: Array) -> Array:
        """Draws of the joint effect, shape (S, M), chains one after the other."""
        mean = self.prediction.mean(points, np.ones(points.shape, dtype=bool))
        return mean.reshape(-1, len(points))

    def mean(self, points: Array) -> Array:
        """Posterior mean of the joint effect, shape (M,)."""
        prediction = self.prediction
        if not prediction.is_linear:
            # The mean of an exponential is not the exponential at mean coefficients.
            parts = range(0, len(points), PLANS_AT_ONCE)
            means = [self.draws(points[i : i + PLANS_AT_ONCE]).mean(axis=0) for i in parts]
            return np.concatenate(means)
        # Deviations of an unseen group and of a resampled population average zero.
        average = replace(
            prediction,
            coefficients=prediction.coefficients.mean(axis=(0, 1), keepdims=True),
            unseen=(),
            resampled=None,
        )
        return np.asarray(average.mean(points, np.ones(points.shape, dtype=bool))[0, 0])


def _connected(count: int, pairs: list[list[int]]) -> tuple[tuple[int, ...], ...]:
    """Connected components of a graph with ``count`` nodes, by their smallest member."""
    label = list(range(count))
    for pair in pairs:
        joined = {label[i] for i in pair}
        label = [min(joined) if own in joined else own for own in label]
    return tuple(
        tuple(i for i, own in enumerate(label) if own == which) for which in sorted(set(label))
    )
