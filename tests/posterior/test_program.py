import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest
from numpyro.infer import Predictive
from numpyro.infer.util import log_density

import bayes_intgen as bi
from bayes_intgen.posterior.fitted_rows import Program

from _posteriors import data_with_groups, model_with_groups
from conftest import confounded_rows

# Linear mechanisms, which are quick to fit, do not follow the sine in these rows.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def hyperparameters(posterior: bi.Posterior, count: int) -> list[dict[str, np.ndarray]]:
    """Evenly spaced draws of the hyperparameters over chains and iterations."""
    group = posterior.tree["posterior"]
    names = [name for name in ("scale", "lengthscale", "noise_sd") if name in group]
    chains, size = group.sizes["chain"], group.sizes["draw"]
    places = [(i % chains, i * size // count) for i in range(count)]
    return [{name: group[name].to_numpy()[place] for name in names} for place in places]


def log_marginal(program: Program, points: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Log densities of log hyperparameters, with the weights marginalised by Gaussian algebra."""

    def joint(weights: jax.Array, sites: dict[str, jax.Array]) -> jax.Array:
        return log_density(program, (), {}, {**sites, "weights": weights})[0]

    slope_at = jax.jit(jax.vmap(jax.value_and_grad(joint), (0, None)))
    size, out = program.terms.size, []
    for sites in points:
        # The joint log density is quadratic in the weights: slopes at unit vectors are its
        # curvature, and one Newton step is exact.
        values, slopes = map(np.asarray, slope_at(np.eye(size + 1, size, -1), sites))
        precision = slopes[0] - slopes[1:]
        highest = values[0] + 0.5 * slopes[0] @ np.linalg.solve(precision, slopes[0])
        log_det = np.linalg.slogdet(precision)[1]
        jacobian = sum(np.log(value).sum() for value in sites.values())
        out.append(highest + 0.5 * (size * np.log(2 * np.pi) - log_det) + jacobian)
    return np.array(out)


def differences(posterior: bi.Posterior, program: Program, count: int = 4) -> np.ndarray:
    """Differences of the sampled log densities from those of the program."""
    lp = posterior.tree["sample_stats"]["lp"].to_numpy()
    chains, size = lp.shape
    sampled = [lp[i % chains, i * size // count] for i in range(count)]
    return np.array(sampled) - log_marginal(program, hyperparameters(posterior, count))


def test_program_has_the_sampled_density(data, posterior) -> None:
    program = posterior.program(data)
    assert program.fixed
    lifted = differences(posterior, program)
    assert np.ptp(lifted) < 1e-6
    # Negative controls: other fixed scales or another variance function change the density.
    wider = {name: 3 * ratio for name, ratio in program.fixed.items()}
    assert np.ptp(differences(posterior, replace(program, fixed=wider))) > 1e-3
    plain = replace(program, relative_sd=np.ones(len(data)))
    assert np.ptp(differences(posterior, plain)) > 1e-2


def test_program_includes_lift_tests_and_sampled_scales() -> None:
    data = confounded_rows(60, seed=2).add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    settings = {"method": "laplace", "draws": 12, "chains": 2, "progress": False}
    with warnings.catch_warnings(action="ignore", category=bi.SamplingWarning):
        posterior = bi.fit(data, bi.models.additive("linear", graph={}), simplify=False, **settings)
    program = posterior.program(data)
    assert not program.fixed
    assert np.ptp(differences(posterior, program)) < 1e-6
    # Negative control: without the lift test the density differs.
    assert np.ptp(differences(posterior, replace(program, lift_tests=None))) > 1e-3


@pytest.mark.slow
def test_program_has_covariates_groups_and_weights() -> None:
    data = data_with_groups(groups=["region"], weights="n")
    settings = {"draws": 12, "warmup": 20, "chains": 2, "progress": False}
    with warnings.catch_warnings(action="ignore", category=bi.SamplingWarning):
        posterior = bi.fit(data, model_with_groups(), **settings)
    program = posterior.program(data)
    assert np.ptp(differences(posterior, program)) < 1e-6
    # Negative control: without the weights the density differs.
    unweighted = replace(program, relative_sd=program.relative_sd * np.sqrt(data.weights))
    assert np.ptp(differences(posterior, unweighted)) > 1e-3


def test_outcomes_are_simulated_in_their_own_units(data, posterior) -> None:
    program = posterior.program(data)
    terms, origin = program.terms, 1000.0
    shifted = {name: getattr(terms, name) + origin for name in ("centre", "intercept_mean")}
    moved = replace(terms, **shifted)
    drawn = [
        np.asarray(Predictive(own, num_samples=3)(jax.random.key(0), None)["outcome"])
        for own in (program, replace(program, terms=moved))
    ]
    np.testing.assert_allclose(drawn[1], drawn[0] + origin, rtol=1e-9)
    assert drawn[0].shape == (3, len(data))
    # A conditioned program returns the observed outcome, or the outcome passed to it.
    for arguments, expected in ((), data.outcome), ((-data.outcome,), -data.outcome):
        observed = Predictive(program, num_samples=2)(jax.random.key(0), *arguments)["outcome"]
        np.testing.assert_array_equal(observed[0], expected)


def test_other_data_are_rejected(data, posterior) -> None:
    with pytest.raises(bi.DataError, match="the data have actions 'a1', 'a2'"):
        posterior.program(replace(data, names=("a1", "a2")))
