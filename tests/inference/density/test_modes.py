import dataclasses
import warnings

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.modes import MIN_LOG_SHARE, Mode, chains_of_modes, find_modes
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.sampling import marginalised
from bayes_intgen.inference.sampling.starting_points import chain_starts
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models.variance_function import Homoscedastic
from bayes_intgen.simulators import Polynomial

SETTINGS = SamplerSettings(0, 4, 10, 10, progress=False)


def marginal_posterior(data: bi.RegimeData, **options: object) -> MarginalPosterior:
    model = bi.models.additive(intercept=(1.5, 0.3), **options)
    terms = model.decompose(data)
    return MarginalPosterior.of(
        model, terms, sufficient_statistics(data, terms, Homoscedastic(), progress=False)
    )


def with_modes(
    posterior: MarginalPosterior,
    other: np.ndarray,
    heights: tuple[float, float],
    widths=(0.3, 0.3),
) -> MarginalPosterior:
    """Replace the density by a mixture of two normals, at the start and at ``other`` from there.

    ``heights`` are their log densities.
    """
    centres = np.stack([posterior.start, posterior.start + other])
    sd = np.stack([width * posterior.prior_sd for width in widths])

    def value_and_grad(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = (flat - centres) / sd
        log_density = np.array(heights) - 0.5 * (z**2).sum(axis=1)
        top = log_density.max()
        share = np.exp(log_density - top)
        value = -(top + np.log(share.sum()))
        return float(value), (share / share.sum()) @ (z / sd)

    posterior.value_and_grad = value_and_grad
    posterior.value = lambda flat: value_and_grad(flat)[0]
    return posterior


@pytest.fixture
def posterior(data) -> MarginalPosterior:
    return marginal_posterior(data, prior="linear")


def other_scales(posterior: MarginalPosterior, by: float) -> np.ndarray:
    """Move of the scales of the first action by a number of prior standard deviations."""
    move = np.zeros(posterior.layout.size)
    scales = posterior.layout.positions["scale"]
    of_first = [
        i
        for i, name in enumerate(posterior.terms.scaled)
        if next(t for t in posterior.terms.terms if t.name == name).action == 0
    ]
    move[scales[of_first]] = by
    return move * posterior.prior_sd


@pytest.mark.parametrize(("seed", "higher"), [(18, 20)])
def test_search_finds_the_highest_of_several_modes(seed: int, higher: float) -> None:
    world = Polynomial.random(3, seed=seed)
    posterior = marginal_posterior(world.dataset(6000, seed=0), graph=world.graph)
    first = posterior.mode(posterior.start, progress=False)
    modes = find_modes(posterior, posterior.start, 4, progress=False)
    highest = min(modes, key=lambda mode: mode.potential)
    mode = highest.point
    # Both are modes, where a Newton step would gain next to nothing, standard deviations apart.
    for each in (first, mode):
        slope = posterior.value_and_grad(each)[1]
        assert slope @ posterior.covariance(each) @ slope / 2 < 1e-4
    apart = np.abs(mode - first) / np.sqrt(np.diag(posterior.covariance(mode)))
    assert apart.max() > 3
    assert posterior.value(mode) == highest.potential < posterior.value(first) - higher
    # Searches from random points find no higher mode, and some find a higher one than the first.
    normal = np.random.default_rng(0).standard_normal((40, len(mode)))
    random = posterior.start + 2 * posterior.prior_sd * normal
    ends = [posterior.value(posterior.mode(at, progress=False)) for at in random]
    assert highest.potential <= min(ends) + 1e-3
    assert min(ends) < posterior.value(first) - higher + 1


def test_search_finds_both_modes_with_their_shares_and_covariances(posterior) -> None:
    other = other_scales(posterior, 3.0)
    # The other mode is higher by one, and narrower.
    bimodal = with_modes(posterior, other, (0.0, 1.0), (0.3, 0.2))
    modes = find_modes(bimodal, bimodal.start, 4, progress=False)
    size = bimodal.layout.size
    assert len(modes) == 2
    by_potential = sorted(modes, key=lambda mode: mode.potential)
    for mode, centre, width in zip(by_potential, (other, 0 * other), (0.2, 0.3), strict=True):
        np.testing.assert_allclose(
            (mode.point - bimodal.start - centre) / bimodal.prior_sd, 0, atol=1e-2 * width
        )
        sd = np.sqrt(np.diag(mode.covariance)) / bimodal.prior_sd
        np.testing.assert_allclose(sd, width, rtol=1e-2)
    # In this many dimensions the wider mode has the larger share, though it is lower.
    assert by_potential[0] is modes[1]
    expected = size * np.log(0.3 / 0.2) - 1.0
    assert modes[0].log_mass - modes[1].log_mass == pytest.approx(expected, abs=0.1)
    # Negative control: a single search finds the nearest mode only.
    alone = bimodal.mode(bimodal.start, progress=False)
    assert np.abs(alone - bimodal.start).max() < 1e-2


def test_negligible_modes_are_dropped(posterior) -> None:
    other = other_scales(posterior, 3.0)
    for height, count in ((MIN_LOG_SHARE + 1, 2), (MIN_LOG_SHARE - 1, 1)):
        bimodal = with_modes(posterior, other, (0.0, height))
        assert len(find_modes(bimodal, bimodal.start, 4, progress=False)) == count
    # The only chain starts from the larger mode.
    bimodal = with_modes(posterior, other, (0.0, 2.0))
    (only,) = find_modes(bimodal, bimodal.start, 1, progress=False)
    np.testing.assert_allclose(only.point, bimodal.start + other, atol=1e-2)


@pytest.mark.parametrize(
    ("heights", "chains", "expected"),
    [
        ([0.0], 3, [0, 0, 0]),
        ([0.0, 0.0], 4, [0, 0, 1, 1]),
        ([0.0, -5.0], 4, [0, 0, 0, 1]),
        ([0.0, -0.1, -5.0], 2, [0, 1]),
        ([0.0, np.log(0.5), np.log(0.25)], 7, [0, 0, 0, 0, 1, 1, 2]),
    ],
)
def test_chains_are_assigned_to_modes_in_proportion(heights, chains, expected) -> None:
    modes = [Mode(np.zeros(1), -height, np.eye(1)) for height in heights]
    assert chains_of_modes(modes, chains) == expected


def test_chains_are_dispersed_as_widely_as_their_mode() -> None:
    wide, narrow = Mode(np.zeros(3), 0.0, np.eye(3)), Mode(np.full(3, 50.0), -14.0, np.eye(3) / 1e4)
    starts = chain_starts([wide, narrow], dataclasses.replace(SETTINGS, chains=400))
    near = np.linalg.norm(starts - 50, axis=1) < 1
    counts = near.sum(), (~near).sum()
    assert min(counts) > 100
    for mode, own in ((wide, ~near), (narrow, near)):
        sd = np.sqrt(mode.covariance[0, 0])
        count = 3 * own.sum()
        np.testing.assert_allclose(
            np.std(starts[own] - mode.point) / sd, 1, atol=4 / np.sqrt(2 * count)
        )


@pytest.mark.slow
def test_a_fit_starts_its_chains_from_all_modes(monkeypatch) -> None:
    world = Polynomial.random(3, seed=6)
    data, calls = world.dataset(300, seed=0), []

    def record(modes: list[Mode], settings: SamplerSettings) -> np.ndarray:
        starts = chain_starts(modes, settings)
        calls.append((modes, starts))
        return starts

    monkeypatch.setattr(marginalised, "chain_starts", record)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        bi.fit(data, bi.models.additive(graph=world.graph), draws=8, warmup=20, progress=False)
    modes, starts = calls[0]
    assert len(modes) == 2
    inverse = np.linalg.inv([mode.covariance for mode in modes])
    change = starts[:, None] - np.stack([mode.point for mode in modes])
    distance = np.einsum("cmi,mij,cmj->cm", change, inverse, change)
    # Squared distances from a chain's own mode are chi-squared.
    size = len(modes[0].point)
    own = distance.min(axis=1)
    assert own.mean() == pytest.approx(size, abs=4 * np.sqrt(2 * size / len(own)))
    assert sorted(distance.argmin(axis=1)) == chains_of_modes(modes, 4) == [0, 0, 1, 1]
