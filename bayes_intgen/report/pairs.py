"""Data of the explorer on interactions, which depend on the sliders of two actions.

In every draw an interaction is ``sum_p c_p f_p(a_j) g_p(a_k)``: products of one function of either
action. On the steps of both sliders these are two small matrices.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.tensor_product import ConcatenatedBasis, TensorProductBasis
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Interaction
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.posterior.surfaces import jointly_supported

# Steps of each slider at which the support of combinations is checked.
N_CHECKED = 24


class Slider(NamedTuple):
    """Steps of an action: values, the starting step, and whether each is supported by itself."""

    values: Array
    start: int
    supported: NDArray[np.bool_]


class Factors(NamedTuple):
    """A function of two actions as a sum of products, in every draw.

    Attributes
    ----------
    first : ndarray, shape (n_j, P)
        Factors in the first action, at its values.
    second : ndarray, shape (n_k, P)
        Factors in the second action, at its values.
    coefficients : ndarray, shape (draws, P)
        Weights of the products.
    """

    first: Array
    second: Array
    coefficients: Array


def factors_of(basis: Basis, coefficients: Array, first: Array, second: Array) -> Factors:
    """Factors of a function in a tensor product basis, in a rotation of one, or a sum of such.

    Parameters
    ----------
    basis : TensorProductBasis, KarhunenLoeveBasis or ConcatenatedBasis
        Basis of two actions; the rotation of a Karhunen-Loève basis becomes part of the
        coefficients.
    coefficients : ndarray, shape (draws, basis.size)
    first, second : ndarray, shapes (n_j,) and (n_k,)
        Values of the two actions.

    Examples
    --------
    >>> from bayes_intgen.basis.monomials import LinearBasis
    >>> line = LinearBasis(posterior.terms.coordinates[0], 1.0)
    >>> basis = TensorProductBasis((line, line), 1)
    >>> out = factors_of(basis, np.array([[2.0]]), np.array([3.0]), np.array([1.0, 5.0]))
    >>> values = out.coefficients @ (out.first * out.second).T
    >>> np.allclose(values, 2 * basis.matrix(np.array([[3.0, 1.0], [3.0, 5.0]])).T)
    True
    """
    if isinstance(basis, ConcatenatedBasis):
        parts = np.split(coefficients, [basis.first.size], axis=1)
        both = map(factors_of, (basis.first, basis.second), parts, (first,) * 2, (second,) * 2)
        return Factors(*(np.concatenate(own, axis=1) for own in zip(*both, strict=True)))
    while isinstance(basis, KarhunenLoeveBasis):
        coefficients, basis = coefficients @ basis.weights.T, basis.basis
    assert isinstance(basis, TensorProductBasis)
    one, other = (
        factor.matrix(values[:, None])[:, own]
        for factor, own, values in zip(basis.factors, basis.indices, (first, second), strict=True)
    )
    return Factors(one, other, coefficients)


class PairData(NamedTuple):
    """Interaction of a pair of actions on the steps of their sliders.

    Attributes
    ----------
    actions : tuple of two int
        Positions in the list of actions.
    factors : Factors
    rows, columns : ndarray of int, shapes (n_j,) and (n_k,)
        Position of each slider's step in ``unreached``.
    unreached : ndarray of bool, shape (at most 25, at most 25)
        Combinations that are not supported, although either value is beside the default point.
    """

    actions: tuple[int, int]
    factors: Factors
    rows: NDArray[np.int_]
    columns: NDArray[np.int_]
    unreached: NDArray[np.bool_]

    def packed(self, pack: Any) -> dict[str, Any]:
        """Fields for JSON, with arrays encoded by ``pack``."""
        return {
            "actions": list(self.actions),
            **{name: pack(values) for name, values in self.factors._asdict().items()},
            "rows": pack(self.rows),
            "columns": pack(self.columns),
            "unreached": pack(self.unreached),
        }


def pairs_of(
    posterior: PosteriorDraws, prediction: Prediction, default: Array, sliders: Sequence[Slider]
) -> list[PairData]:
    """Interactions of a fit on the steps of the sliders.

    The support of a combination of two values is checked on a coarse grid of both, the other
    actions at the default point.

    Parameters
    ----------
    posterior : PosteriorDraws
    prediction : Prediction
        In one chain.
    default : ndarray, shape (K,)
    sliders : sequence of Slider, length K
    """
    return [
        _pair(posterior, prediction, default, (j, k), own, (sliders[j], sliders[k]))
        for (j, k), own in posterior.terms.interactions.items()
    ]


def _pair(
    posterior: PosteriorDraws,
    prediction: Prediction,
    default: Array,
    actions: tuple[int, int],
    interaction: Interaction,
    sliders: tuple[Slider, Slider],
) -> PairData:
    own = prediction.coefficients[0][:, interaction.columns]
    factors = factors_of(interaction.basis, own, *(slider.values for slider in sliders))
    checked = [_checked_steps(slider) for slider in sliders]
    places = [
        np.abs(np.arange(len(slider.values))[:, None] - steps).argmin(axis=1)
        for slider, steps in zip(sliders, checked, strict=True)
    ]
    unreached = _unreached(posterior, default, actions, sliders, checked)
    return PairData(actions, factors, places[0], places[1], unreached)


def _checked_steps(slider: Slider) -> NDArray[np.int_]:
    """Evenly spaced steps of a slider, its start included."""
    spaced = np.linspace(0, len(slider.values) - 1, N_CHECKED).round().astype(int)
    return np.union1d(spaced, [slider.start])


def _unreached(
    posterior: PosteriorDraws,
    default: Array,
    actions: tuple[int, int],
    sliders: tuple[Slider, Slider],
    checked: Sequence[NDArray[np.int_]],
) -> NDArray[np.bool_]:
    """Combinations without support of values that have it, shape (steps, steps) of both."""
    grids = np.meshgrid(
        *(s.values[c] for s, c in zip(sliders, checked, strict=True)), indexing="ij"
    )
    points = np.tile(default, (grids[0].size, 1))
    for k, grid in zip(actions, grids, strict=True):
        points[:, k] = grid.ravel()
    supported = jointly_supported(posterior, points).reshape(grids[0].shape)
    # Values without support have a reason of their own, and those at the start are beside it.
    one, other = (
        slider.supported[steps] & (steps != slider.start)
        for slider, steps in zip(sliders, checked, strict=True)
    )
    return np.asarray(~supported & one[:, None] & other)
