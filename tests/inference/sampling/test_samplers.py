from dataclasses import replace

import jax
import numpy as np
import pytest
from _marginals import marginal_posterior
from numpyro.diagnostics import effective_sample_size
from scipy.stats import norm
from threadpoolctl import threadpool_limits

import bayes_intgen as bi
from bayes_intgen.inference.density.approximation import Approximation
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.surrogate import (
    ExpansionPoint,
    block_statistics,
    coefficient_blocks,
)
from bayes_intgen.inference.density.target import Density, Target
from bayes_intgen.inference.sampled_model import Draws
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.simulators import Ordered

from conftest import confounded_rows

POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])


def of_rows(rows: int) -> MarginalPosterior:
    return marginal_posterior(confounded_rows(rows, seed=3), bi.models.additive())


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of means and of variances, in Monte Carlo standard errors."""
    largest, centre = 0.0, one.mean((0, 1))
    for power in (1, 2):
        moments = [(each - centre) ** power for each in (one, other)]
        error = np.sqrt(sum(each.var((0, 1)) / effective_sample_size(each) for each in moments))
        gap = np.abs(moments[0].mean((0, 1)) - moments[1].mean((0, 1)))
        largest = max(largest, float((gap / error).max()))
    return largest


@pytest.mark.slow
def test_a_poor_surrogate_does_not_change_the_posterior() -> None:
    posterior = of_rows(150)
    plain = Approximation.of(posterior.target, posterior.start, progress=False)
    points = plain.points(100, np.random.default_rng(0))
    effect = posterior.terms.matrix(POINTS, np.ones(POINTS.shape, dtype=bool))

    def sample(target: Target, seed: int, density: Density) -> Draws:
        settings = SamplerSettings(seed, draws=1500, warmup=400, progress=False)
        return nuts(target, replace(plain, density=density), settings)

    def quantities(draws: Draws) -> np.ndarray:
        effects = draws.coefficients[..., : posterior.terms.size] @ effect.T
        return np.concatenate([draws.flat, effects], axis=-1)

    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        # So far from the mode, and blocks so small, that the surrogate is another posterior.
        expansion = ExpansionPoint.of(posterior, points[10])
        blocks = coefficient_blocks(expansion, points, sizes=(16,))
        target, fewer = posterior.target, of_rows(75).target
        exact = sample(target, 0, target)
        corrected = sample(target, 1, block_statistics(expansion, blocks))
        of_fewer_rows = sample(fewer, 2, fewer)
    assert exact.statistics["accepted"].all()
    assert 0.5 < corrected.statistics["accepted"].mean() < 0.95
    one, other = quantities(exact), quantities(corrected)
    # The largest distance of means and of variances, exceeded once in a thousand runs.
    limit = -norm.ppf(0.0005 / (2 * one.shape[-1]))
    assert distance(one, other) < limit
    # Negative control: draws given half of the rows.
    assert distance(exact.flat, of_fewer_rows.flat) > limit


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.DataWarning")
def test_fits_of_few_levels_do_not_diverge() -> None:
    """Where priors are wide, rounding of the surrogate once made a draw in two hundred diverge."""
    diverging, rejected, draws = 0, 0, 0
    for seed in range(20_500, 20_506):
        world = Ordered.random(3, seed, levels=3)
        statistics = bi.fit(world.dataset(1000, seed), draws=300, progress=False).tree[
            "sample_stats"
        ]
        diverging += int(statistics["diverging"].sum())
        rejected += int((~statistics["accepted"]).sum())
        draws += statistics["diverging"].size
    assert diverging <= draws / 2000
    # There is a surrogate.
    assert rejected
