from dataclasses import replace

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from bayes_intgen.inference.density.log_density import LogDensity, MarginalDensity
from bayes_intgen.inference.sampling.convergence import (
    MAX_DRAWS,
    MIN_DRAWS,
    shortfalls,
)
from bayes_intgen.inference.sampling.nuts import (
    nuts,
)
from bayes_intgen.inference.settings import SamplerSettings

CHAINS, DRAWS = 4, 400
COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])


def normal(precision):
    return lambda z: 0.5 * z @ precision @ z


def marginal(density: LogDensity, count: int = 0) -> MarginalDensity:
    """Add coefficients that are marginalised: standard normal about the first coordinate."""

    def potential_and_draw(data):
        # Padding of the coefficients is drawn, too.
        return lambda z, numbers: (density.potential(data)(z), z[0] + numbers)

    return MarginalDensity(
        **vars(density),
        potential_and_draw=potential_and_draw,
        n_coefficients=count,
        draw=lambda z, rng: z[0] + rng.normal(size=count),
    )


def normal_density(covariance: np.ndarray) -> LogDensity:
    precision = np.linalg.inv(covariance)
    return LogDensity(normal, precision, lambda z: (float(0.5 * z @ precision @ z), precision @ z))


def sample(
    density: np.ndarray | MarginalDensity,
    covariance: np.ndarray,
    seed: int = 0,
    draws=DRAWS,
    warmup: int = 200,
    target_accept: float = 0.8,
    **more,
):
    size = len(covariance)
    with jax.enable_x64(True):
        return nuts(
            density if isinstance(density, LogDensity) else marginal(normal_density(density)),
            np.random.default_rng(seed).normal(size=(CHAINS, size)),
            covariance,
            SamplerSettings(seed, CHAINS, draws, warmup, target_accept, progress=False),
            **more,
        )


def test_a_correlated_normal_is_sampled_from_a_poor_initial_covariance() -> None:
    scale = np.array([0.1, 1.0, 10.0])
    covariance = np.array([[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1]]) * np.outer(scale, scale)
    draws = sample(covariance, np.eye(3))
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


def skewed(shape):
    """Minus the log density of a skew normal first coordinate and a normal second one."""
    return lambda z: 0.5 * z @ z - jnp.log(2.0) - norm.logcdf(shape * z[0])


SHAPE = 0.5
SKEWED = marginal(
    LogDensity(
        skewed,
        jnp.asarray(SHAPE),
        lambda z: tuple(map(np.asarray, jax.value_and_grad(skewed(SHAPE))(jnp.asarray(z)))),
    )
)
# Azzalini 1985.
MEAN = np.sqrt(2 / np.pi) * SHAPE / np.sqrt(1 + SHAPE**2)
VARIANCE = 1 - MEAN**2


def test_delayed_acceptance_samples_the_exact_density() -> None:
    # Trajectories of few large steps would often return to where they began.
    corrected = sample(SKEWED, np.eye(2), surrogate=normal_density(np.eye(2)), target_accept=0.9)
    uncorrected = sample(np.eye(2), np.eye(2))
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

    statistics = corrected.statistics
    accepted = statistics["accepted"]
    # Independent draws would be accepted with probability 0.795. Draws of a chain are a little more
    # alike: 0.811 over twelve seeds, with a standard deviation of 0.016 between them.
    assert accepted.mean() == pytest.approx(0.811, abs=4 * 0.016)
    repeated = (corrected.flat[:, 1:] == corrected.flat[:, :-1]).all(axis=-1)
    assert repeated[~accepted[:, 1:]].all()
    assert repeated[accepted[:, 1:]].mean() < 0.1
    # The log density in the statistics is the exact one.
    z = corrected.flat[0, -1]
    assert statistics["lp"][0, -1] == pytest.approx(-float(skewed(SHAPE)(z)), rel=1e-5)
    assert (statistics["energy"] >= -statistics["lp"] - 1e-9).all()


def with_coefficients(density: MarginalDensity) -> MarginalDensity:
    plain = LogDensity(density.potential, density.data, density.value_and_grad)
    return marginal(plain, 3)


@pytest.mark.parametrize("surrogate", [None, normal_density(np.eye(2))])
def test_coefficients_are_drawn_given_each_draw(surrogate) -> None:
    draws = sample(with_coefficients(SKEWED), np.eye(2), surrogate=surrogate)
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


def test_chains_repeat_their_start_if_no_proposal_has_a_density() -> None:

    def nowhere(data):
        return lambda z, normal: (jnp.nan * z[0], z[0] + normal)

    stuck = replace(with_coefficients(SKEWED), potential_and_draw=nowhere)
    draws = sample(stuck, np.eye(2), surrogate=normal_density(np.eye(2)), draws=20, warmup=20)
    assert not draws.statistics["accepted"].any()
    assert (draws.coefficients == draws.coefficients[:, :1]).all()
    # Coefficients drawn at the start, different ones in each chain.
    residual = (draws.coefficients - draws.flat[..., :1])[:, 0]
    assert len(np.unique(residual)) == residual.size
    assert (np.abs(residual) < 4).all()


def test_a_poor_surrogate_is_dropped() -> None:
    draws = sample(SKEWED, np.eye(2), surrogate=normal_density(np.diag([1e-3, 1.0])))
    # After the warmup NUTS samples the exact density, starting at the last draws.
    assert draws.statistics["accepted"].all()
    first = draws.flat[..., 0]
    assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / float(az.ess(first)))
    last = draws.flat[0, -1]
    assert draws.statistics["lp"][0, -1] == pytest.approx(-float(skewed(SHAPE)(last)), rel=1e-5)


def test_draws_depend_on_the_seed_alone() -> None:
    one, same, other = (sample(np.eye(2), np.eye(2), seed).flat for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()
    # Chains differ from each other.
    assert len(np.unique(one[:, -1, 0])) == CHAINS


# Heavy tails, which NUTS seldom leaves: few draws are effective.
def student_t(degrees):
    return lambda z: 0.5 * (degrees + 1) * jnp.sum(jnp.log1p(z**2 / degrees))


HEAVY = marginal(
    LogDensity(
        student_t,
        jnp.asarray(2.0),
        lambda z: tuple(map(np.asarray, jax.value_and_grad(student_t(2.0))(jnp.asarray(z)))),
    )
)


def test_chains_run_until_they_have_converged() -> None:
    easy, hard = sample(np.eye(2), np.eye(2), draws=None), sample(HEAVY, np.eye(3), draws=None)
    assert MIN_DRAWS <= easy.flat.shape[1] < hard.flat.shape[1] <= MAX_DRAWS
    for draws in (easy, hard):
        assert shortfalls(draws.flat).max() <= 1
        assert all(len(v[0]) == draws.flat.shape[1] for v in draws.statistics.values())
    # The hard target needs more, and has the draws of a run with that fixed number.
    assert shortfalls(hard.flat[:, :MIN_DRAWS]).max() > 1
    fixed = sample(HEAVY, np.eye(3), draws=hard.flat.shape[1])
    np.testing.assert_allclose(hard.flat, fixed.flat, rtol=1e-12)
    np.testing.assert_array_equal(hard.statistics["n_steps"], fixed.statistics["n_steps"])


@pytest.mark.parametrize(
    "quantities", [lambda flat, _: flat.cumsum(axis=1), lambda _, drawn: drawn.cumsum(axis=1)]
)
def test_stopping_rule_assesses_the_quantities(quantities) -> None:
    # Running sums, of sites or of coefficients, in which no two chains agree.
    draws = sample(with_coefficients(SKEWED), np.eye(2), draws=None, quantities=quantities)
    assert draws.flat.shape[1] == MAX_DRAWS


def test_padding_changes_neither_the_distribution_of_draws_nor_statistics() -> None:
    def padded(precision):
        return lambda z: normal(precision)(z[:2]) + 0.5 * jnp.sum(z[2:] ** 2)

    plain = normal_density(COVARIANCE)
    density = replace(marginal(plain), potential=padded, padding=2)
    density = replace(density, potential_and_draw=lambda data: lambda z, _: (padded(data)(z), _))
    draws = sample(density, COVARIANCE)
    assert draws.flat.shape == (CHAINS, DRAWS, 2)
    flat = draws.flat.reshape(-1, 2)
    # At least a quarter of the 1,600 draws is effective.
    variance = np.diag(COVARIANCE)
    error = np.sqrt((np.outer(variance, variance) + COVARIANCE**2) / 400)
    assert (np.abs(np.cov(flat, rowvar=False) - COVARIANCE) < 4 * error).all()
    values = np.array([-float(normal(plain.data)(at)) for at in flat])
    np.testing.assert_allclose(draws.statistics["lp"].ravel(), values, atol=1e-9)
    assert (draws.statistics["energy"] >= -draws.statistics["lp"] - 1e-9).all()
    # Thirty standard normal sites that moved would take twice the steps.
    many = sample(replace(density, padding=30), COVARIANCE).statistics["n_steps"].mean()
    none = sample(COVARIANCE, COVARIANCE).statistics["n_steps"].mean()
    assert many == pytest.approx(none, rel=0.1)


@pytest.mark.parametrize("surrogate", [None, normal_density(np.eye(2))])
def test_points_of_undefined_density_are_never_accepted(surrogate) -> None:
    def partly(precision):
        return lambda z: jnp.where(z[0] > 1.2, jnp.nan, 0.5 * z @ precision @ z)

    plain = replace(normal_density(np.eye(2)), potential=partly)
    draws = sample(marginal(plain, 3), np.eye(2), seed=7, surrogate=surrogate)
    # Every chain starts where there is a density.
    assert (draws.flat[..., 0] <= 1.2).all()
    assert np.isfinite(draws.statistics["lp"]).all()
    # Some proposals of the surrogate were rejected, others accepted.
    assert draws.statistics["accepted"].mean() > 0.3
    assert draws.statistics["accepted"].all() == (surrogate is None)


def test_draws_do_not_depend_on_the_block_size() -> None:
    # Blocks of 25 and of 20 iterations.
    one, other = (sample(SKEWED, np.eye(2), draws=draws, warmup=150).flat for draws in (100, 120))
    np.testing.assert_allclose(one, other[:, :100], rtol=1e-9)
