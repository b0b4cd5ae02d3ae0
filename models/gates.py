"""Gates: the weight of a term of the mean in each regime."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.masks import Mask, masks_of, regime_weights


@dataclass(frozen=True)
class Always:
    """Gate of a term that acts in every regime."""

    def __call__(self, intervened: NDArray[np.bool_]) -> Array:
        """Ones, shape (n,), for masks of shape (n, K)."""
        return np.ones(len(intervened))


@dataclass(frozen=True)
class WhereNotSet:
    """Gate of a term that acts where one action was not set, 1 - R_k.

    Attributes
    ----------
    action : int
    """

    action: int

    def __call__(self, intervened: NDArray[np.bool_]) -> Array:
        """One minus the mask of the action, shape (n,), for masks of shape (n, K)."""
        return np.asarray(1.0 - intervened[:, self.action])


@dataclass(frozen=True)
class InRegime:
    """Gate of a term that acts in one regime.

    Attributes
    ----------
    regimes : tuple of masks
        Regimes in the data.
    index : int
        Position of the term's regime among them.
    """

    regimes: tuple[Mask, ...]
    index: int

    def __call__(self, intervened: NDArray[np.bool_]) -> Array:
        """Weight of the term's regime in the regime of each row, shape (n,).

        One in its own regime, and zero in the other regimes in the data. A regime without data is
        a combination of the others, with the weights of
        :func:`~bayes_intgen.identification.masks.regime_weights`.

        Raises
        ------
        ModelError
            If a regime is no combination of those in the data.
        """
        masks, which = masks_of(np.asarray(intervened, dtype=bool))
        return np.array([self._weight(mask) for mask in masks])[which]

    def _weight(self, mask: Mask) -> float:
        if mask in self.regimes:
            return float(self.regimes.index(mask) == self.index)
        weights = regime_weights(self.regimes, mask)
        if weights is None:
            raise ModelError(
                "separate regressions cannot predict a regime that is no combination of those in "
                "the data; use models.additive()"
            )
        return float(weights[self.index])


Gate = Always | WhereNotSet | InRegime
