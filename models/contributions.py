"""Contributions of single actions, and interactions of pairs, in every draw."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.models.prediction import Prediction


def contributions(prediction: Prediction, actions: Array) -> tuple[Array, Array]:
    """Unconfounded contributions and biases of all actions, (chain, draw, K, n) each."""
    shape = (*prediction.coefficients.shape[:2], len(prediction.terms.names), len(actions))
    unconfounded, bias = np.zeros(shape), np.zeros(shape)
    functions = prediction.terms.functions(
        actions, prediction.population, units=prediction.averaged_units
    )
    for term in prediction.terms.terms:
        if term.action is None:
            continue
        columns = prediction.terms.columns[term.name]
        total = bias if term.role == "bias" else unconfounded
        total[:, :, term.action] += prediction.coefficients[..., columns] @ functions[:, columns].T
    for group in prediction.unseen:
        if group.input is not None:
            unconfounded[:, :, group.input] += group.share * group.effect(actions)
    none_set = np.zeros(actions.shape, dtype=bool)
    for k in range(len(prediction.terms.names)):
        for out, is_bias in ((unconfounded, False), (bias, True)):
            of_k = (term for term in prediction.terms.terms if term.action == k)
            own = [term for term in of_k if (term.role == "bias") == is_bias]
            out[:, :, k] += prediction.shift_of_population(actions, none_set, own)
    return unconfounded, bias


def interactions(prediction: Prediction, actions: Array) -> Array:
    """Interactions of the pairs in ``terms.interactions``, shape (chain, draw, pairs, n)."""
    shape = (*prediction.coefficients.shape[:2], len(prediction.terms.interactions), len(actions))
    out = np.empty(shape)
    for i, (pair, (basis, columns)) in enumerate(prediction.terms.interactions.items()):
        functions = basis.matrix(actions[:, list(pair)])
        out[:, :, i] = prediction.coefficients[..., columns] @ functions.T
    return out
