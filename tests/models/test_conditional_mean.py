"""Functions of biases less their means given the parents of their actions."""

from dataclasses import replace

import numpy as np
import pytest
from bayes_intgen.models.conditional_mean import ConditionalMean

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.monomials import MonomialBasis
from bayes_intgen.models.codec import dumps, loads

SQUARE = MonomialBasis.of(np.linspace(-1, 1, 9)[:, None], Coordinate.of(np.linspace(-1, 1, 9)), 2)


def mean_of(values, **changes) -> ConditionalMean:
    own = {"bases": (SQUARE,), "inputs": ((1,),), "terms": ("t",), "coefficients": (values,)}
    return ConditionalMean(**(own | changes))


def test_saved_means_are_checked_against_the_terms(data) -> None:
    terms = bi.models.additive(graph={"green": ["red"]}).decompose(data)
    (name,) = (t.name for t in terms.terms if t.name == "delta(green | red)")
    size = terms.columns[name].stop - terms.columns[name].start
    good = mean_of(np.ones((3, size)), terms=(name,))
    own = replace(terms, conditional_means=(good,))
    again = loads(dumps(own))
    points = data.actions[:5]
    np.testing.assert_array_equal(again.functions(points), own.functions(points))
    assert not np.allclose(own.functions(points), terms.functions(points))
    for bad, message in [
        (mean_of(np.ones((3, size + 1)), terms=(name,)), "columns"),
        (mean_of(np.ones((3, size)), terms=(name,), inputs=((2,),)), "does not exist"),
    ]:
        object.__setattr__(own, "conditional_means", (bad,))
        with pytest.raises(bi.SavedFitError, match=message):
            loads(dumps(own))
