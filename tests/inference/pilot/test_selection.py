from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, sampled

import bayes_intgen as bi
from bayes_intgen.api.fitting import fit_decomposed
from bayes_intgen.inference.pilot.dependence import dependence_of_scores
from bayes_intgen.inference.settings import ALL_TECHNIQUES, SamplerSettings, Techniques


def world(product: float, rows: int = 500, seed: int = 0):
    """Three actions; the third is ``product`` times the product of the others, plus its cause."""
    own = [lambda a, c, v: c + 0.5 * v] * 2
    third = [lambda a, c, v: c + 0.5 * v + product * a[:, 0] * a[:, 1]]
    common = {"outcome": lambda a, c: np.tanh(a).sum(axis=1) + c.sum(axis=1), "settings": 1.0}
    return sampled(own + third, rows, seed, **common)


def test_graph_restricts_candidates_to_parents() -> None:
    data = world(1.0)

    def of_bias(**model: object) -> set[str]:
        candidates = bi.models.additive(**model).candidates(data)
        return {term.name.split(" ")[2].rstrip(")") for term in candidates if "| " in term.name}

    assert of_bias(graph={"a3": ["a1"]}) == {"a1"}
    assert of_bias(graph={"a3": ["a1", "a2"]}) == {"a1", "a2"}
    assert bi.models.pooled().candidates(data) == ()
    assert bi.models.additive("linear", graph={}, interactions=None).candidates(data) == ()
    names = [term.name for term in bi.models.additive("linear", graph={}).candidates(data)]
    pairs = ("a1, a2", "a1, a3", "a2, a3")
    assert names == [f"{symbol}({pair})" for symbol in ("psi", "delta") for pair in pairs]


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_a_product_of_parents_is_a_cause_of_its_own() -> None:
    data = world(1.0, rows=1000)
    points = np.random.default_rng(9).normal(size=(300, 3))
    points[:, 2] += points[:, 0] * points[:, 1]
    errors = {}
    # With a learned graph the mean of the third action given its parents contains the product.
    for graph in ("any", None):
        posterior = fitted(data, bi.models.additive(graph=graph))
        effect = posterior.joint_effect(points).mean(("chain", "draw")).to_numpy()
        errors[graph] = float(np.std(effect - np.tanh(points).sum(axis=1)))
    assert errors[None] < 0.5 * errors["any"], errors


def test_rows_that_persist_tell_less_of_what_persists() -> None:
    """The variance of a score grows by products of the autocorrelations of column and noise."""
    rng, units, weeks = np.random.default_rng(0), 40, 60
    decay = np.array([0.8, 0.9, 0.0])  # of the noise, and of two covariates
    series = rng.normal(size=(weeks, units, 3))
    for before, now in pairwise(series):
        now[:] = decay * before + np.sqrt(1 - decay**2) * now
    noise, slow, fast = series.reshape(-1, 3).T
    week, unit = np.indices((weeks, units)).reshape(2, -1)
    frame = pd.DataFrame({"a": rng.normal(size=len(noise)), "slow": slow, "fast": fast})
    frame = frame.assign(y=frame["a"] + noise, week=week, unit=unit.astype(str))
    frame["regime"] = np.where(unit % 2, "a", "")
    roles = ["a"], "y", "regime"
    for order, expected in (({"unit": "unit", "time": "week"}, 1 + 2 * 0.72 / 0.28), ({}, 1.0)):
        data = bi.RegimeData.from_frame(frame, *roles, covariates=["slow", "fast"], **order)
        settings = SamplerSettings(method="laplace", progress=False)
        fit = fit_decomposed(data, bi.models.additive("linear"), settings).pilot.mode
        squares = np.diag(fit.posterior.sums.xx)
        root = dependence_of_scores(data, fit, fit.terms, squares)
        independent = squares / fit.noise_sd**2
        ratio = 1 + (root**2).sum(axis=1) / independent
        assert ratio[fit.terms.columns["gamma(slow)"]] == pytest.approx(expected, rel=0.25)
        assert ratio[fit.terms.columns["gamma(fast)"]] == pytest.approx(1, abs=0.2)


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_functions_that_rows_do_not_inform_change_no_answer() -> None:
    data, settings = world(0.0), SamplerSettings(method="laplace", draws=1000, progress=False)
    fits = [
        fit_decomposed(data, bi.models.additive(), replace(settings, techniques=techniques))
        for techniques in (ALL_TECHNIQUES, Techniques(informed_functions=False))
    ]
    few, many = (fit.posterior.joint_effect(data.actions[:100]) for fit in fits)
    assert fits[0].sampled.terms.size < 0.8 * fits[1].sampled.terms.size
    sd = many.std(("chain", "draw"))
    # The standard error of a mean of 4,000 draws is 0.016 sd, and importance weights double it.
    change = (few.mean(("chain", "draw")) - many.mean(("chain", "draw"))) / sd
    assert float(np.sqrt((change**2).mean())) < 0.1
    np.testing.assert_allclose(few.std(("chain", "draw")), sd, rtol=0.15)
