from dataclasses import replace

import numpy as np

from bayes_intgen.assess.outcome_advice import advice_on_scale, gain_of_logarithm
from bayes_intgen.assess.summary import summarise_data

from conftest import confounded_rows


def with_outcome(data, outcome):
    return replace(data, outcome=outcome)


def test_positive_skewed_outcomes_whose_logarithm_fits_get_the_advice() -> None:
    data = confounded_rows(200, seed=1)
    multiplied = with_outcome(data, np.exp(data.outcome))
    (advice,) = advice_on_scale(multiplied)
    assert "bi.models.multiplicative()" in advice
    assert advice in summarise_data(multiplied, support=False).sections["Outcome"]


def test_others_do_not() -> None:
    data = confounded_rows(200, seed=1)
    rng = np.random.default_rng(0)
    positive = with_outcome(data, data.outcome - data.outcome.min() + 1)
    skewed = with_outcome(data, positive.outcome + rng.gamma(1.0, size=len(data)))
    with_zeros = with_outcome(data, np.where(rng.random(len(data)) < 0.1, 0, np.exp(data.outcome)))
    counts = with_outcome(data, np.ceil(np.exp(data.outcome)))
    for rows in (data, positive, skewed, with_zeros, counts):
        assert advice_on_scale(rows) == ()
    assert "Outcome" not in summarise_data(data, support=False).sections


def test_gain_does_not_depend_on_the_unit() -> None:
    data = confounded_rows(200, seed=1)
    multiplied = with_outcome(data, np.exp(data.outcome))
    gain, skewness = gain_of_logarithm(multiplied)
    again = gain_of_logarithm(with_outcome(data, 1000 * multiplied.outcome))
    np.testing.assert_allclose(again, (gain, skewness))
    assert gain > 0.1
