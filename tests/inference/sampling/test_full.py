import warnings

import bayes_intgen.program
import numpy as np
import pytest
from numpyro.diagnostics import effective_sample_size

import bayes_intgen as bi
from bayes_intgen.inference.density.whitening import Whitening

from conftest import confounded_rows

POINTS = np.array([[1.0, 1.0], [-1.0, 0.5], [0.5, -1.5]])


def heavy_tailed(rows: int) -> bi.RegimeData:
    clean = confounded_rows(rows, seed=4)
    noise = 0.3 * np.random.default_rng(0).standard_t(3, len(clean.outcome))
    outcome = clean.outcome + noise
    return bi.RegimeData.from_arrays(clean.actions, outcome, clean.intervened, clean.names)


def unwhitened(*_) -> None:
    raise np.linalg.LinAlgError


def fitted(data: bi.RegimeData, prior="linear", noise="student_t", **settings) -> bi.Posterior:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        return bi.fit(data, bi.models.additive(prior, noise=noise), progress=False, **settings)


@pytest.mark.slow
def test_white_coordinates_leave_the_posterior_what_it_was(monkeypatch) -> None:
    """In the coordinates of the program, with steps so small that they do not diverge."""
    data, settings = heavy_tailed(30), {"draws": 1000}
    white = fitted(data, **settings)
    monkeypatch.setattr(bayes_intgen.inference.sampling.full, "groups_of", unwhitened)
    plain = fitted(data, target_accept=0.99, warmup=400, **settings)
    of_effects = [p.joint_effect(POINTS).transpose("chain", "draw", ...) for p in (white, plain)]
    of_df = [p.tree["posterior"].dataset[["df", "noise_sd"]].to_dataarray() for p in (white, plain)]
    for pair in (of_effects, [each.transpose("chain", "draw", ...) for each in of_df]):
        for power in (1, 2):
            centre = pair[0].mean(("chain", "draw"))
            one, other = (((each - centre) ** power).to_numpy() for each in pair)
            error = np.sqrt(
                sum(each.var((0, 1)) / effective_sample_size(each) for each in (one, other))
            )
            # Of ten numbers, exceeded once in a thousand runs.
            assert (np.abs(one.mean((0, 1)) - other.mean((0, 1))) < 3.9 * error).all()
    # What it is for: a tenth of the steps that weights as they are need not to diverge.
    steps = [float(p.tree["sample_stats"]["n_steps"].mean()) for p in (white, plain)]
    assert steps[0] < 16 < 10 * steps[0] < steps[1]
    assert not white.tree["sample_stats"]["diverging"].any()


@pytest.mark.parametrize("noise", ["student_t", "gaussian"])
def test_trajectories_are_short(noise: str) -> None:
    settings = {} if noise == "student_t" else {"collapse": False}
    posterior = fitted(heavy_tailed(60), "gp", noise, draws=50, **settings)
    statistics = posterior.tree["sample_stats"]
    assert float(statistics["n_steps"].mean()) < 32
    assert float(statistics["diverging"].mean()) < 0.02


def test_numbers_too_far_apart_to_tell_leave_the_weights_as_they_are(monkeypatch) -> None:
    told = []

    def none(priors):
        told.append(len(priors.mean))
        return of_nothing(priors)

    of_nothing = Whitening.none
    monkeypatch.setattr(Whitening, "none", none)
    monkeypatch.setattr(bayes_intgen.inference.sampling.full, "groups_of", unwhitened)
    posterior = fitted(heavy_tailed(30), draws=20, warmup=20)
    assert len(told) == 1
    assert np.isfinite(posterior.joint_effect(POINTS)).all()
