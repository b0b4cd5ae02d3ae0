import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.monomials import MonomialBasis
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": "forest"}, "unknown prior 'forest'"),
        ({"unconfounded": {"red": "forest"}}, "unknown prior 'forest'"),
        ({"noise": "cauchy"}, "unknown noise 'cauchy'"),
        ({"spread": "wild"}, "unknown spread 'wild'"),
        ({"intercept": (0.0, 0.0)}, "positive sd"),
        ({"graph": {"green": "red"}}, r"graph\['green'\] must be a list"),
        ({"graph": ["red"]}, "graph must map"),
    ],
)
def test_invalid_arguments_raise(arguments, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.models.additive(**arguments)


def with_levels() -> bi.RegimeData:
    """Data with a binary, a named and a numeric action."""
    rng = np.random.default_rng(0)
    masks = np.repeat(np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(bool), 40, axis=0)
    frame = {
        "promo": rng.integers(0, 2, 160),
        "channel": rng.choice(["mail", "none", "web"], 160),
        "spend": rng.normal(size=160),
    }
    labels = np.array([None, "promo", "channel", "spend"], dtype=object)
    frame["regime"] = labels[np.where(masks.any(axis=1), masks.argmax(axis=1) + 1, 0)]
    frame["sales"] = rng.normal(size=160)
    return bi.RegimeData.from_frame(
        pd.DataFrame(frame), ["promo", "channel", "spend"], "sales", "regime"
    )


def test_named_levels_reject_priors_for_numbers() -> None:
    with pytest.raises(bi.ModelError, match="'channel' has named levels .*bi.Levels"):
        bi.models.additive(unconfounded={"channel": "gp"}).decompose(with_levels())
    terms = bi.models.additive(
        unconfounded={"channel": bi.Levels(ordered=True), "promo": "linear"}
    ).decompose(with_levels())
    bases = {term.name: term.component.basis for term in terms.terms}
    assert isinstance(bases["phi(promo)"], MonomialBasis)
    assert isinstance(bases["phi(channel)"], PiecewiseLinear)
