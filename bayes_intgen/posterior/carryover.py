"""Actions that carry over: draws of their rates, and for how long they are held in an answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bayes_intgen._arguments import whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.combined import RateError
from bayes_intgen.errors import PointsError
from bayes_intgen.models.carryover import MAX_RATE
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import in_words


def held_in_words(terms: Decomposition, periods: int | None = None) -> str:
    """Say for how long the actions that carry over are held; empty if none does.

    Parameters
    ----------
    terms : Decomposition
    periods : int, optional
        By default as long as they act.
    """
    if not terms.carryover:
        return ""
    names = in_words([*terms.carryover])
    if periods is None:
        they = "they act" if len(terms.carryover) > 1 else "it acts"
        return f"{names} held for as long as {they}"
    usual = in_words([shorter_number(_usual(terms, name)) for name in terms.carryover])
    return f"{names} held for {periods} period{'s' * (periods > 1)}, before at {usual}"


def _usual(terms: Decomposition, name: str) -> float:
    """Median of an action."""
    return terms.coordinates[terms.names.index(name)].centre


def restated(
    attrs: Mapping[str, str], terms: Decomposition, periods: int | None
) -> Mapping[str, str]:
    """Attributes of an answer, with periods, if given, in place of as long as actions act."""
    if periods is None:
        return attrs
    words = held_in_words(terms), held_in_words(terms, periods)
    return {**attrs, "population": attrs["population"].replace(*words)}


def after_periods(
    terms: Decomposition, values: Array, periods: int, intervened: Collection[str]
) -> Array:
    """Carried-over actions at points, shape (M, K), where they have been held for some periods.

    Before that they were at their medians for as long as they act.

    Raises
    ------
    PointsError
        If no action carries over, one that does is not set, or the number is not positive.
    """
    count = whole_number(periods, "periods", 1, PointsError)
    if not terms.carryover:
        raise PointsError("no action carries over in this fit, so that periods are alike; omit it")
    observed = [name for name in terms.carryover if name not in intervened]
    if observed:
        raise PointsError(f"periods are for actions that are set, and {observed[0]!r} is not")
    out = values.copy()
    for name, adstock in terms.carryover.items():
        k, usual = terms.names.index(name), _usual(terms, name)
        out[:, k] = usual + adstock.share(count) * (values[:, k] - usual)
    return out


@dataclass(frozen=True, eq=False)
class RateErrorAfter:
    """What an error of the rate adds where an action has been held for some periods.

    Attributes
    ----------
    error : RateError
    usual : float
        Value of the action before.
    slope : float
        Derivative of the carried-over action in an error of the rate, over its distance from there.
    """

    error: RateError
    usual: float
    slope: float

    @property
    def size(self) -> int:
        return 1

    def matrix(self, inputs: Array) -> Array:
        """Function of carried-over values, shape (n, 1)."""
        return self.error.of_rows(inputs, self.slope * (inputs - self.usual), inputs)


def prediction_after(prediction: Prediction, periods: int) -> Prediction:
    """Predict at actions of :func:`after_periods`, with the error of their rates."""
    terms, every = prediction.terms, list[Term]()
    for term in prediction.terms.terms:
        if isinstance(error := term.component.basis, RateError):
            name = terms.names[term.inputs[0]]
            slope = terms.carryover[name].slope_of_share(periods)
            basis = RateErrorAfter(error, _usual(terms, name), slope)
            term = replace(term, component=replace(term.component, basis=basis))
        every.append(term)
    return replace(prediction, terms=replace(terms, terms=tuple(every)))


def rates(terms: Decomposition, coefficients: Array) -> dict[str, Array]:
    """Draws of the rate of each action that carries over, shape (chain, draw); constant if given.

    Parameters
    ----------
    terms : Decomposition
    coefficients : ndarray, shape (chain, draw, P)
    """
    out = {
        name: np.full(coefficients.shape[:2], adstock.rate or 0.0)
        for name, adstock in terms.carryover.items()
    }
    for term in terms.terms:
        if isinstance(term.component.basis, RateError):
            name = terms.names[term.inputs[0]]
            error = coefficients[..., terms.columns[term.name]][..., 0]
            out[name] = np.clip(out[name] + terms.carryover[name].sd * error, 0.0, MAX_RATE)
    return out
