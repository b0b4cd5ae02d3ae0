import warnings
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro.infer import Predictive
from numpyro.infer.util import log_density

import bayes_intgen as bi
from bayes_intgen.posterior.program import Program

from _posteriors import data_with_groups, frame_with_groups, made_up, model_with_groups
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
    size = group.sizes["draw"]
    return [
        {
            name: group[name].to_numpy()[i % group.sizes["chain"], i * size // count]
            for name in ("scale", "lengthscale", "noise_sd")
            if name in group
        }
        for i in range(count)
    ]


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
    settings = {"draws": 12, "warmup": 20, "chains": 2, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        posterior = bi.fit(data, bi.models.additive("linear"), simplify=False, **settings)
    program = posterior.program(data)
    assert not program.fixed
    assert np.ptp(differences(posterior, program)) < 1e-6
    # Negative control: without the lift test the density differs.
    assert np.ptp(differences(posterior, replace(program, lift_tests=None))) > 1e-3


@pytest.mark.slow
def test_program_has_covariates_groups_and_weights() -> None:
    data = data_with_groups(groups=["region"], weights="n")
    settings = {"draws": 12, "warmup": 20, "chains": 2, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        posterior = bi.fit(data, model_with_groups(), **settings)
    program = posterior.program(data)
    assert np.ptp(differences(posterior, program)) < 1e-6
    # Negative control: without the weights the density differs.
    unweighted = replace(program, relative_sd=program.relative_sd * np.sqrt(data.weights))
    assert np.ptp(differences(posterior, unweighted)) > 1e-3


def test_fits_without_a_program_say_why() -> None:
    data = data_with_groups()
    posterior = made_up(data.names, outcome="sales", data=data, model=model_with_groups(), draws=4)
    with pytest.raises(bi.ModelError, match="'patient' are integrated out.*at most 64 groups"):
        posterior.program(data)
    frame = frame_with_groups().assign(sd=0.3)
    cells = data_with_groups(frame, groups=["region"], weights="n", outcome_sd="sd")
    posterior = made_up(data.names, outcome="sales", data=cells, model=model_with_groups(), draws=4)
    with pytest.raises(bi.ModelError, match="outcome_sd"):
        posterior.program(cells)


def test_outcomes_are_simulated_in_their_own_units(data) -> None:
    shifted_data = replace(data, outcome=1000 + data.outcome)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        posterior = bi.fit(
            shifted_data, bi.models.additive("linear"), draws=50, warmup=50, progress=False
        )
    program = posterior.program(shifted_data)
    hyperparameter_draws = {
        name: posterior.tree["posterior"][name].to_numpy().reshape(200, -1).squeeze()
        for name in ("scale", "noise_sd")
    }
    sites = {**hyperparameter_draws, "weights": _weights(posterior, program, hyperparameter_draws)}
    samples = np.asarray(Predictive(program, sites)(jax.random.key(0), outcome=None)["outcome"])
    assert samples.shape == (200, len(data))
    # Posterior predictive draws are as wide about the data as the data about their mean.
    spread = samples.std(axis=0).mean()
    residual = samples.mean(axis=0) - shifted_data.outcome
    assert residual.std() == pytest.approx(spread, rel=0.1)
    assert abs(residual.mean()) < 4 * spread / np.sqrt(len(data))
    # Negative control: draws with coefficients from the prior are wider.
    prior = np.asarray(
        Predictive(program, hyperparameter_draws)(jax.random.key(0), outcome=None)["outcome"]
    )
    assert prior.std(axis=0).mean() > 2 * spread
    # A conditioned program returns the observed outcome, or the outcome passed to it.
    for arguments, expected in ((), shifted_data.outcome), ((data.outcome,), data.outcome):
        observed = Predictive(program, num_samples=2)(jax.random.key(0), *arguments)["outcome"]
        np.testing.assert_array_equal(observed[0], expected)


def _weights(
    posterior: bi.Posterior, program: Program, hyperparameter_draws: dict[str, np.ndarray]
) -> np.ndarray:
    """Weights that correspond to posterior draws of the coefficients, shape (draw, P)."""
    samples = posterior.tree["coefficients"]["coefficients"].to_numpy()
    coefficients = samples.reshape(-1, samples.shape[-1])[: len(hyperparameter_draws["noise_sd"])]
    unit = Predictive(program, {**hyperparameter_draws, "weights": np.ones_like(coefficients)})
    zero = Predictive(program, {**hyperparameter_draws, "weights": np.zeros_like(coefficients)})
    # Coefficients are linear in the weights.
    scale, centre = (np.asarray(p(jax.random.key(0))["coefficients"]) for p in (unit, zero))
    return (coefficients - centre) / (scale - centre)


def test_other_data_and_fits_without_units_are_rejected(data, posterior) -> None:
    with pytest.raises(bi.DataError, match="the data have actions 'a1', 'a2'"):
        posterior.program(replace(data, names=("a1", "a2")))
    frame = pd.DataFrame(data.actions, columns=data.names).assign(
        intensity=data.outcome, regime=np.repeat(["", *data.names], len(data) // 3)
    )
    streamed = bi.StreamedData.from_batches(
        [frame], data.names, "intensity", "regime", progress=False
    )
    with pytest.raises(bi.DataError, match="every row in memory"):
        posterior.program(streamed)
