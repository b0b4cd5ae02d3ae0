import warnings

import numpy as np
import pytest
from numpyro.diagnostics import effective_sample_size

import bayes_intgen as bi
from bayes_intgen.inference.sampling import full

from conftest import confounded_rows

POINTS = np.array([[1.0, 1.0], [-1.0, 0.5], [0.5, -1.5]])


def heavy_tailed(rows: int) -> bi.RegimeData:
    clean = confounded_rows(rows, seed=4)
    noise = 0.3 * np.random.default_rng(0).standard_t(3, len(clean.outcome))
    outcome = clean.outcome + noise
    return bi.RegimeData.from_arrays(clean.actions, outcome, clean.intervened, clean.names)


@pytest.fixture
def whitened_and_not(monkeypatch):
    """A function that fits with whitened weights, then with weights as they are."""

    def singular(*_) -> None:
        raise np.linalg.LinAlgError

    def fit_both(data: bi.RegimeData, settings, plain_settings) -> tuple[bi.Posterior, ...]:
        whitened = fitted(data, collapse=False, **settings)
        monkeypatch.setattr(full, "coefficient_blocks", singular)
        return whitened, fitted(data, collapse=False, **settings, **plain_settings)

    return fit_both


def fitted(data: bi.RegimeData, prior="linear", noise="student_t", **settings) -> bi.Posterior:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        return bi.fit(data, bi.models.additive(prior, noise=noise), progress=False, **settings)


def mean_steps(posterior: bi.Posterior) -> float:
    return float(posterior.tree["sample_stats"]["n_steps"].mean())


@pytest.mark.slow
def test_whitening_does_not_change_the_posterior(whitened_and_not) -> None:
    # Steps so small that the sampler does not diverge without whitening.
    fits = whitened_and_not(
        heavy_tailed(30), {"draws": 1000}, {"target_accept": 0.99, "warmup": 400}
    )
    effects = [fit.joint_effect(POINTS) for fit in fits]
    noises = [fit.tree["posterior"].dataset[["df", "noise_sd"]].to_dataarray() for fit in fits]
    for arrays in (effects, noises):
        pair = [each.transpose("chain", "draw", ...) for each in arrays]
        for power in (1, 2):
            centre = pair[0].mean(("chain", "draw"))
            one, other = (((each - centre) ** power).to_numpy() for each in pair)
            error = np.sqrt(
                sum(each.var((0, 1)) / effective_sample_size(each) for each in (one, other))
            )
            # Of ten numbers, exceeded once in a thousand runs.
            assert (np.abs(one.mean((0, 1)) - other.mean((0, 1))) < 3.9 * error).all()
    # Whitening saves nine tenths of the steps.
    steps = [mean_steps(fit) for fit in fits]
    assert steps[0] < 16 < 10 * steps[0] < steps[1]
    assert not fits[0].tree["sample_stats"]["diverging"].any()


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["student_t", "gaussian"])
def test_trajectories_are_short(noise: str) -> None:
    settings = {"collapse": False}
    posterior = fitted(heavy_tailed(60), "gp", noise, draws=50, **settings)
    assert mean_steps(posterior) < 32
    assert float(posterior.tree["sample_stats"]["diverging"].mean()) < 0.02


@pytest.mark.slow
def test_a_singular_posterior_is_sampled_without_whitening(whitened_and_not) -> None:
    fits = whitened_and_not(heavy_tailed(30), {"draws": 20, "warmup": 20, "chains": 2}, {})
    # Without whitening trajectories are much longer.
    steps = [mean_steps(fit) for fit in fits]
    assert steps[1] > 2 * steps[0]
    means = [fit.joint_effect(POINTS).mean(("chain", "draw")) for fit in fits]
    sd = fits[0].joint_effect(POINTS).std(("chain", "draw"))
    assert (np.abs(means[0] - means[1]) < sd).all()
