"""The multiplicative model: its data, program and questions."""

from dataclasses import replace

import arviz as az
import jax
import numpy as np
import pytest
from numpyro import handlers

import bayes_intgen as bi
from bayes_intgen.assess.held_out import log_densities, split

from conftest import confounded_rows

LINEAR = bi.models.multiplicative("linear", graph={"green": ["red"]}, interactions=None)


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    data = confounded_rows(400, seed=2)
    red = data.actions[:, 0]
    logs = data.outcome - np.sin(red) + red
    return replace(data, outcome=np.exp(logs), outcome_name="sales")


@pytest.fixture(scope="module")
def fitted(rows) -> bi.Posterior:
    return bi.fit(rows, LINEAR, method="laplace", draws=250, progress=False)


pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
slow = pytest.mark.slow


@slow
def test_comparison_with_the_additive_model_is_on_the_scale_of_the_outcome(rows, fitted) -> None:
    """Log densities, and held-out scores, prefer the model that is right."""
    train, held_out = split(rows, 0.25, seed=0)
    additive = bi.models.additive("linear", graph={"green": ["red"]}, interactions=None)
    scores = [log_densities(m, train, held_out, False) for m in (LINEAR, additive)]
    assert scores[0].sum() > scores[1].sum() + 20
    # Negative control: logarithms themselves are additive.
    logs = [replace(part, outcome=np.log(part.outcome) + 10) for part in (train, held_out)]
    other = [log_densities(m, *logs, False) for m in (LINEAR, additive)]
    assert other[0].sum() < other[1].sum() + 5
    # The scale of the outcome does not matter.
    tree = fitted.to_arviz(rows, rows=200)
    density = tree["log_likelihood"]["outcome"].mean(("chain", "draw")).to_numpy()
    outcome = tree["observed_data"]["outcome"].to_numpy()
    spread = np.abs(np.log(outcome)).max()
    assert spread > 1
    assert np.corrcoef(density, np.log(outcome))[0, 1] < -0.5
    assert np.isfinite(az.loo(tree).elpd)
    assert float(tree["posterior_predictive"]["outcome"].min()) > 0


@slow
def test_program_is_of_the_outcome_itself(rows, fitted) -> None:
    seeded = handlers.seed(fitted.program(rows), jax.random.key(0))
    drawn = handlers.trace(seeded).get_trace(None)["outcome"]["value"]
    assert float(drawn.min()) > 0
    observed = handlers.trace(seeded).get_trace()["outcome"]
    # In JAX's precision, whatever it is at the call.
    np.testing.assert_array_equal(observed["value"], jax.numpy.asarray(rows.outcome))
    prior = bi.prior_predictive(rows, LINEAR, draws=10)["prior_predictive"]["outcome"]
    assert float(prior.min()) > 0
