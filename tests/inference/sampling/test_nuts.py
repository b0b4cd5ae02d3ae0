from dataclasses import dataclass, replace

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from bayes_intgen.inference.density.approximation import Approximation
from bayes_intgen.inference.sampling.convergence import MAX_DRAWS, MIN_DRAWS, shortfalls
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.settings import SamplerSettings

CHAINS, DRAWS = 4, 400


@dataclass(frozen=True, eq=False)
class Toy:
    """Target with marginalised coefficients: standard normal about the first coordinate.

    It is skew normal in the first coordinate (Azzalini 1985) and standard normal in the others.
    """

    parameter: object
    size: int = 2
    coefficients: int = 0

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_dataclass(cls, ["parameter"], ["size", "coefficients"])

    @property
    def compiled(self):
        return self

    def potential(self, z):
        """Minus the log density."""
        return 0.5 * z @ z - jnp.log(2.0) - norm.logcdf(self.parameter * z[0])

    def potential_and_draw(self, z, normal):
        return self.potential(z), z[0] + normal

    def value_and_grad(self, z):
        return jax.tree.map(np.asarray, jax.value_and_grad(self.potential)(jnp.asarray(z)))

    def value(self, z):
        return float(self.potential(jnp.asarray(z)))

    @property
    def mean(self):
        return np.zeros(self.coefficients)

    def evaluate(self, points, counts, rng):
        values = np.array([self.value(z) for z in points])
        return values, points[:, :1, None] + rng.normal(size=(len(points), 1, self.coefficients))


class Skewed(Toy):
    pass


class Normal(Toy):
    def potential(self, z):
        return 0.5 * z @ self.parameter @ z


def normal(covariance: np.ndarray) -> Normal:
    return Normal(np.linalg.inv(covariance), len(covariance))


def sample(target: Toy, surrogate=None, quantities=lambda flat, _: flat, **settings):
    """Draws, from an approximation with the unit matrix as covariance."""
    common = {"chains": CHAINS, "draws": DRAWS, "warmup": 200, "target_accept": 0.8}
    density = target if surrogate is None else surrogate
    with jax.enable_x64(True):
        approximation = Approximation(np.zeros(target.size), np.eye(target.size), density)
        own = SamplerSettings(**common | settings, progress=False)
        return nuts(target, approximation, own, quantities)


def test_a_correlated_normal_is_sampled_from_a_poor_initial_covariance() -> None:
    scale = np.array([0.1, 1.0, 10.0])
    covariance = np.array([[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1]]) * np.outer(scale, scale)
    draws = sample(normal(covariance))
    assert draws.flat.shape == (CHAINS, DRAWS, 3)
    flat = draws.flat.reshape(-1, 3) / scale
    # At least a quarter of the 1,600 draws is effective for a target this easy.
    assert (np.abs(flat.mean(axis=0)) < 4 / np.sqrt(400)).all()
    np.testing.assert_allclose(flat.var(axis=0), 1, atol=4 * np.sqrt(2 / 400))
    statistics = draws.statistics
    assert not statistics["diverging"].any()
    assert np.ptp(statistics["step_size"]) == 0
    # The schema of ArviZ.
    assert {
        "diverging", "energy", "lp", "n_steps", "acceptance_rate", "step_size", "tree_depth",
        "reached_max_treedepth", "accepted",
    } == set(statistics)  # fmt: skip
    assert all(values.shape == (CHAINS, DRAWS) for values in statistics.values())
    leaves, depth = statistics["n_steps"] + 1, statistics["tree_depth"]
    assert ((2.0 ** (depth - 1) < leaves) & (leaves <= 2.0**depth)).all()


SHAPE = 0.5
SKEWED = Skewed(SHAPE)
MEAN = np.sqrt(2 / np.pi) * SHAPE / np.sqrt(1 + SHAPE**2)
VARIANCE = 1 - MEAN**2


def test_delayed_acceptance_samples_the_exact_density() -> None:
    # Trajectories of few large steps would often return to where they began.
    corrected = sample(SKEWED, surrogate=normal(np.eye(2)), target_accept=0.9)
    uncorrected = sample(normal(np.eye(2)))
    first = corrected.flat[..., 0]
    ess = float(az.ess(first))
    assert ess > 400
    assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / ess)
    assert first.var() == pytest.approx(VARIANCE, abs=4 * np.sqrt(2 / ess))
    # The other coordinate has the same distribution under both densities.
    other = corrected.flat[..., 1]
    assert abs(other.mean()) < 4 / np.sqrt(float(az.ess(other)))
    # Negative control: the surrogate has another mean.
    assert abs(uncorrected.flat[..., 0].mean() - MEAN) > 0.2
    assert uncorrected.statistics["accepted"].all()
    statistics, accepted = corrected.statistics, corrected.statistics["accepted"]
    # Independent draws would be accepted with probability 0.795. Draws of a chain are a little more
    # alike: 0.811 over twelve seeds, with a standard deviation of 0.016 between them.
    assert accepted.mean() == pytest.approx(0.811, abs=4 * 0.016)
    repeated = (corrected.flat[:, 1:] == corrected.flat[:, :-1]).all(axis=-1)
    assert repeated[~accepted[:, 1:]].all()
    assert repeated[accepted[:, 1:]].mean() < 0.1
    # The log density in the statistics is the exact one.
    z = corrected.flat[0, -1]
    assert statistics["lp"][0, -1] == pytest.approx(-SKEWED.value(z), rel=1e-5)
    assert (statistics["energy"] >= -statistics["lp"] - 1e-9).all()


WITH_COEFFICIENTS = replace(SKEWED, coefficients=3)


@pytest.mark.parametrize("surrogate", [None, normal(np.eye(2))])
def test_coefficients_are_drawn_given_each_draw(surrogate) -> None:
    draws = sample(WITH_COEFFICIENTS, surrogate=surrogate)
    assert draws.coefficients.shape == (CHAINS, DRAWS, 3)
    # Residuals about the conditional means are standard normal, and independent of the sites.
    accepted = draws.statistics["accepted"]
    residual = (draws.coefficients - draws.flat[..., :1])[accepted]
    assert (np.abs(residual.mean(axis=0)) < 4 / np.sqrt(len(residual))).all()
    np.testing.assert_allclose(residual.std(axis=0), 1, atol=4 / np.sqrt(2 * len(residual)))
    correlation = np.corrcoef(residual.T, draws.flat[..., 0][accepted])
    assert np.abs(correlation - np.eye(4)).max() < 4 / np.sqrt(len(residual))
    # A rejected proposal repeats the coefficients.
    repeated = (draws.coefficients[:, 1:] == draws.coefficients[:, :-1]).all(axis=-1)
    np.testing.assert_array_equal(repeated, ~accepted[:, 1:])
    assert accepted.all() == (surrogate is None)


class Nowhere(Toy):
    """Without a density in compiled programs."""

    def potential_and_draw(self, z, normal):
        return jnp.nan * z[0], z[0] + normal


def test_chains_repeat_their_start_if_no_proposal_has_a_density() -> None:
    draws = sample(Nowhere(SHAPE, coefficients=3), surrogate=normal(np.eye(2)), draws=20, warmup=20)
    assert not draws.statistics["accepted"].any()
    assert (draws.coefficients == draws.coefficients[:, :1]).all()
    # Coefficients drawn at the start, different ones in each chain.
    residual = (draws.coefficients - draws.flat[..., :1])[:, 0]
    assert len(np.unique(residual)) == residual.size
    assert (np.abs(residual) < 4).all()


def test_a_poor_surrogate_is_dropped() -> None:
    draws = sample(SKEWED, surrogate=normal(np.diag([1e-3, 1.0])))
    # After the warmup NUTS samples the exact density, starting at the last draws.
    assert draws.statistics["accepted"].all()
    first = draws.flat[..., 0]
    assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / float(az.ess(first)))
    last = draws.flat[0, -1]
    assert draws.statistics["lp"][0, -1] == pytest.approx(-SKEWED.value(last), rel=1e-5)


class StudentT(Toy):
    """Heavy tails, which NUTS seldom leaves: few draws are effective."""

    def potential(self, z):
        return 0.5 * (self.parameter + 1) * jnp.sum(jnp.log1p(z**2 / self.parameter))


HEAVY = StudentT(2.0, 3)


def test_chains_run_until_they_have_converged() -> None:
    easy, hard = sample(normal(np.eye(2)), draws=None), sample(HEAVY, draws=None)
    assert MIN_DRAWS <= easy.flat.shape[1] < hard.flat.shape[1] <= MAX_DRAWS
    for draws in (easy, hard):
        assert shortfalls(draws.flat).max() <= 1
        assert all(len(v[0]) == draws.flat.shape[1] for v in draws.statistics.values())
    # The hard target needs more, and has the draws of a run with that fixed number.
    assert shortfalls(hard.flat[:, :MIN_DRAWS]).max() > 1
    fixed = sample(HEAVY, draws=hard.flat.shape[1])
    np.testing.assert_allclose(hard.flat, fixed.flat, rtol=1e-12)
    np.testing.assert_array_equal(hard.statistics["n_steps"], fixed.statistics["n_steps"])


@pytest.mark.parametrize(
    "quantities", [lambda flat, _: flat.cumsum(axis=1), lambda _, drawn: drawn.cumsum(axis=1)]
)
def test_stopping_rule_assesses_the_quantities(quantities) -> None:
    # Running sums, of sites or of coefficients, in which no two chains agree.
    draws = sample(WITH_COEFFICIENTS, draws=None, quantities=quantities)
    assert draws.flat.shape[1] == MAX_DRAWS


class Partly(Normal):
    """Without a density beyond a border."""

    def potential(self, z):
        return jnp.where(z[0] > 1.2, jnp.nan, 0.5 * z @ self.parameter @ z)


@pytest.mark.parametrize("surrogate", [None, normal(np.eye(2))])
def test_points_of_undefined_density_are_never_accepted(surrogate) -> None:
    draws = sample(Partly(np.eye(2), coefficients=3), seed=7, surrogate=surrogate)
    assert (draws.flat[..., 0] <= 1.2).all()
    assert np.isfinite(draws.statistics["lp"]).all()
    # Some proposals of the surrogate were rejected, others accepted.
    assert draws.statistics["accepted"].mean() > 0.3
    assert draws.statistics["accepted"].all() == (surrogate is None)
