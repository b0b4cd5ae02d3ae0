import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.models.mechanisms.kernels import log_spectral_sd


def terms_and_hyperpriors(data, prior):
    model = bi.models.additive(prior=prior, bias={"green": bi.GP(kernel="matern32")})
    terms = model.decompose(data)
    return terms, model.hyperpriors(terms)


@pytest.mark.parametrize("prior", ["gp", "spline"])
def test_prior_sd_of_coefficients_follows_the_hyperparameters_of_their_term(data, prior) -> None:
    terms, priors = terms_and_hyperpriors(data, prior)
    rng = np.random.default_rng(0)
    scale = dict(zip(terms.scaled, rng.uniform(0.1, 2, len(terms.scaled)), strict=True))
    length = {label: rng.uniform(0.5, 2) for label in terms.lengthscales}
    sites = {
        "scale": np.array(list(scale.values())),
        "lengthscale": np.array(list(length.values())),
    }
    with jax.enable_x64(True):
        log_sd = np.asarray(priors.log_sd(jax.tree.map(jnp.asarray, sites), jnp))
        np.testing.assert_allclose(priors.log_sd(sites), log_sd, rtol=1e-12)
        for term in terms.terms:
            expected = np.log(scale.get(term.name, (term.fixed_sd or 0) * terms.unit))
            if term.component.kernel is not None:
                frequencies = term.component.basis.frequencies
                label = terms.lengthscale_of[term.name]
                expected = expected + np.asarray(
                    log_spectral_sd(term.component.kernel, frequencies, length[label])
                )
            own = log_sd[terms.columns[term.name]]
            np.testing.assert_allclose(own, np.broadcast_to(expected, own.shape), rtol=1e-12)


def test_gradient_equals_automatic_differentiation(data) -> None:
    terms, priors = terms_and_hyperpriors(data, "gp")
    rng = np.random.default_rng(1)
    towards = rng.normal(size=terms.size)
    logs = {
        "scale": rng.normal(size=len(terms.scaled)),
        "lengthscale": rng.normal(size=len(terms.lengthscales)),
    }
    gradient = priors.towards_sites({name: np.exp(v) for name, v in logs.items()}, towards)
    with jax.enable_x64(True):
        expected = jax.grad(lambda logs: priors.log_sd(jax.tree.map(jnp.exp, logs), jnp) @ towards)(
            {name: jnp.asarray(v) for name, v in logs.items()}
        )
    for name in logs:
        np.testing.assert_allclose(gradient[name], np.asarray(expected[name]), rtol=1e-9)
