import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.mechanisms import log_spectral_sd
from bayes_intgen.models.base import collapsed
from bayes_intgen.targets import Target


def of(data, prior):
    model = bi.models.additive(prior=prior, bias={"green": bi.GP(kernel="matern32")})
    terms = model.decompose(data)
    return terms, model.hyperpriors(terms)


@pytest.mark.parametrize("prior", ["gp", "spline"])
def test_each_coefficient_follows_its_own_terms_hyperparameters(data, prior) -> None:
    terms, priors = of(data, prior)
    rng = np.random.default_rng(0)
    scale = dict(zip(terms.scaled, rng.uniform(0.1, 2, len(terms.scaled)), strict=True))
    length = {label: rng.uniform(0.5, 2) for label in terms.lengthscales}
    with jax.enable_x64(True):
        log_sd = np.asarray(
            priors.log_sd(jnp.array(list(scale.values())), jnp.array(list(length.values())))
        )
        for term in terms.terms:
            expected = np.log(scale.get(term.name, (term.fixed_sd or 0) * terms.unit))
            if term.part.kernel is not None:
                frequencies = term.part.basis.frequencies
                label = terms.lengthscale_of[term.name]
                expected = expected + np.asarray(
                    log_spectral_sd(term.part.kernel, frequencies, length[label])
                )
            found = log_sd[terms.columns[term.name]]
            np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-12)


def test_padding_leaves_the_density_and_its_gradient_alone(data) -> None:
    terms, priors = of(data, "gp")
    matrix = terms.matrix(data.actions, data.intervened)
    sums = bi.gram.Sums.over([(matrix, data.outcome - terms.centre, np.ones(len(data)))])
    found = []
    with jax.enable_x64(True):
        for size in (terms.size, terms.size + 7):
            arguments = priors.padded(size), sums.padded(size)
            target = Target(collapsed, arguments, priors.start)
            found.append(target.gradient(target.start + 0.1))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9, atol=1e-9)
