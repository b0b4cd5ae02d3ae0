"""Effects of groups that are not in the data, drawn from the distribution between groups."""

from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.models.random_effects import RandomEffects
from bayes_intgen.models.terms import Decomposition


class UnseenGroup(NamedTuple):
    """Draws of one effect of a group.

    Attributes
    ----------
    column : int
        Position of the grouping among covariates and groups.
    basis : Basis
        Function of one input whose coefficients the group has.
    input : int or None
        Action; None for the level.
    draws : ndarray, shape (chain, draw, basis.size)
    share : float
        Share of the population that is in such a group.
    """

    column: int
    basis: Basis
    input: int | None
    draws: Array
    share: float = 1.0

    def effect(self, actions: Array) -> Array:
        """Effect in the group at actions, shape (n, K): an array (chain, draw, n)."""
        return np.asarray(self.draws @ self.functions(actions).T)

    def functions(self, actions: Array) -> Array:
        """Functions of the actions, shape (n, basis.size)."""
        return self.basis.matrix(actions[:, [self.input or 0]])


def unseen_group(
    terms: Decomposition, effects: RandomEffects, noise_sd: Array, rng: np.random.Generator
) -> tuple[UnseenGroup, ...]:
    """Draw the effects of one group of a fine grouping.

    Parameters
    ----------
    terms : Decomposition
    effects : RandomEffects
    noise_sd : ndarray, shape (chain, draw)
    rng : Generator
    """
    out, start = [], 0
    for basis, k in zip(effects.bases, effects.inputs, strict=True):
        sd = np.sqrt(effects.ratio[start : start + basis.size])
        start += basis.size
        draws = rng.standard_normal((*noise_sd.shape, basis.size)) * noise_sd[..., None] * sd
        action = k if k < len(terms.names) else None
        out.append(UnseenGroup(effects.grouping - len(terms.names), basis, action, draws))
    return tuple(out)
