import os
from threading import Event

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.sampling.chain_runner import MAX_BLOCK_SIZE, common_block_size
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.sampling.stopping import (
    MAX_DRAWS,
    MIN_DRAWS,
    additional_draws,
    shortfall,
)
from bayes_intgen.inference.sampling.warmup import (
    MIN_ACCEPTANCE_RATE,
    MODE_TOLERANCE,
    HigherModeError,
    min_acceptance_rate,
    refuse_higher_mode,
)
from bayes_intgen.inference.settings import SamplerSettings

CHAINS, DRAWS = 4, 400


def normal(precision):
    return lambda z: 0.5 * z @ precision @ z


def normal_density(covariance: np.ndarray) -> LogDensity:
    precision = np.linalg.inv(covariance)
    return LogDensity(normal, precision, lambda z: (float(0.5 * z @ precision @ z), precision @ z))


def sample(
    density: np.ndarray | LogDensity,
    guess: np.ndarray,
    seed: int = 0,
    draws=DRAWS,
    warmup: int = 200,
    **more,
):
    size = len(guess)
    with jax.enable_x64(True):
        return nuts(
            density if isinstance(density, LogDensity) else normal_density(density),
            np.random.default_rng(seed).normal(size=(CHAINS, size)),
            guess,
            SamplerSettings(seed, CHAINS, draws, warmup, progress=False),
            **more,
        )


def test_a_correlated_normal_is_sampled_whatever_the_first_guess() -> None:
    scale = np.array([0.1, 1.0, 10.0])
    covariance = np.array([[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1]]) * np.outer(scale, scale)
    draws = sample(covariance, np.eye(3))
    assert draws.flat.shape == (CHAINS, DRAWS, 3)
    flat = draws.flat.reshape(-1, 3) / scale
    # At least a quarter of 1600 draws is effective in so easy a target.
    assert (np.abs(flat.mean(axis=0)) < 4 / np.sqrt(400)).all()
    np.testing.assert_allclose(flat.var(axis=0), 1, atol=4 * np.sqrt(2 / 400))
    assert not draws.statistics["diverging"].any()


def test_statistics_are_in_arvizs_schema() -> None:
    statistics = sample(np.eye(2), np.eye(2)).statistics
    assert {
        "diverging", "energy", "lp", "n_steps", "acceptance_rate", "step_size", "tree_depth",
        "reached_max_treedepth", "accepted",
    } == set(statistics)  # fmt: skip
    for values in statistics.values():
        assert values.shape == (CHAINS, DRAWS)
    leaves, depth = statistics["n_steps"] + 1, statistics["tree_depth"]
    assert ((2.0 ** (depth - 1) < leaves) & (leaves <= 2.0**depth)).all()


def skewed(shape):
    """Minus the log density of a skew normal first coordinate and a normal second one."""
    return lambda z: 0.5 * z @ z - jnp.log(2.0) - norm.logcdf(shape * z[0])


SHAPE = 0.5
SKEWED = LogDensity(
    skewed,
    jnp.asarray(SHAPE),
    lambda z: tuple(map(np.asarray, jax.value_and_grad(skewed(SHAPE))(jnp.asarray(z)))),
)
# Azzalini 1985.
MEAN = np.sqrt(2 / np.pi) * SHAPE / np.sqrt(1 + SHAPE**2)
VARIANCE = 1 - MEAN**2


def test_a_walk_on_an_approximation_is_corrected_by_the_exact_density() -> None:
    corrected = sample(SKEWED, np.eye(2), surrogate=normal_density(np.eye(2)))
    walked = sample(np.eye(2), np.eye(2))
    first = corrected.flat[..., 0]
    ess = float(az.ess(first))
    assert ess > 400
    assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / ess)
    assert first.var() == pytest.approx(VARIANCE, abs=4 * np.sqrt(2 / ess))
    # The other coordinate is the same under both, and is not spoilt.
    other = corrected.flat[..., 1]
    assert abs(other.mean()) < 4 / np.sqrt(float(az.ess(other)))
    # Negative control: what is walked has another mean.
    assert abs(walked.flat[..., 0].mean() - MEAN) > 0.2
    assert walked.statistics["accepted"].all()

    statistics = corrected.statistics
    accepted = statistics["accepted"]
    # Independent draws would be accepted with probability 0.795; a chain's are a little nearer to
    # each other: 0.811 over twelve seeds, with a standard deviation of 0.016 between them.
    assert accepted.mean() == pytest.approx(0.811, abs=4 * 0.016)
    stays = (corrected.flat[:, 1:] == corrected.flat[:, :-1]).all(axis=-1)
    assert stays[~accepted[:, 1:]].all()
    assert stays[accepted[:, 1:]].mean() < 0.1
    # The log density that is reported is the exact one.
    z = corrected.flat[0, -1]
    assert statistics["lp"][0, -1] == pytest.approx(-float(skewed(SHAPE)(z)), rel=1e-5)
    assert (statistics["energy"] >= -statistics["lp"] - 1e-9).all()


def with_draws(density: LogDensity) -> LogDensity:
    """The same, with three normal numbers about the first coordinate given it."""

    def given(data):
        return lambda z, normal: (density.potential(data)(z), z[0] + normal)

    return density._replace(given=given, given_size=3, draw=lambda z, normal: z[0] + normal)


@pytest.mark.parametrize("surrogate", [None, normal_density(np.eye(2))])
def test_what_is_integrated_out_is_drawn_with_each_draw(surrogate) -> None:
    draws = sample(with_draws(SKEWED), np.eye(2), surrogate=surrogate)
    assert draws.given.shape == (CHAINS, DRAWS, 3)
    # What is left when what was given is subtracted is standard normal, and independent of it.
    accepted = draws.statistics["accepted"]
    left = (draws.given - draws.flat[..., :1])[accepted]
    assert (np.abs(left.mean(axis=0)) < 4 / np.sqrt(len(left))).all()
    np.testing.assert_allclose(left.std(axis=0), 1, atol=4 / np.sqrt(2 * len(left)))
    correlation = np.corrcoef(left.T, draws.flat[..., 0][accepted])
    assert np.abs(correlation - np.eye(4)).max() < 4 / np.sqrt(len(left))
    # Where a draw is refused, so is what was drawn with it.
    stays = (draws.given[:, 1:] == draws.given[:, :-1]).all(axis=-1)
    np.testing.assert_array_equal(stays, ~accepted[:, 1:])
    assert accepted.all() == (surrogate is None)
    # The draws are those without.
    without = sample(SKEWED, np.eye(2), surrogate=surrogate)
    np.testing.assert_allclose(draws.flat, without.flat, rtol=1e-9)
    assert without.given.shape == (CHAINS, DRAWS, 0)


def test_draws_that_were_never_made_are_never_recorded() -> None:
    """Not even where no proposal has a density: the draw at the start is repeated."""

    def nowhere(data):
        return lambda z, normal: (jnp.nan * z[0], z[0] + normal)

    stuck = with_draws(SKEWED)._replace(given=nowhere)
    draws = sample(stuck, np.eye(2), surrogate=normal_density(np.eye(2)), draws=20, warmup=20)
    assert not draws.statistics["accepted"].any()
    assert (draws.given == draws.given[:, :1]).all()
    # Those of the start, and of each chain its own.
    about = (draws.given - draws.flat[..., :1])[:, 0]
    assert len(np.unique(about)) == about.size
    assert (np.abs(about) < 4).all()
    with pytest.raises(ValueError, match="must say how to draw them"):
        sample(stuck._replace(draw=None), np.eye(2))


def test_a_bad_approximation_is_given_up() -> None:
    draws = sample(SKEWED, np.eye(2), surrogate=normal_density(np.diag([1e-3, 1.0])))
    # After the warmup the walk is on the density that is meant, and starts where it was.
    assert draws.statistics["accepted"].all()
    first = draws.flat[..., 0]
    assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / float(az.ess(first)))
    last = draws.flat[0, -1]
    assert draws.statistics["lp"][0, -1] == pytest.approx(-float(skewed(SHAPE)(last)), rel=1e-5)


def test_the_step_size_is_found_from_a_whole_half_of_the_warmup() -> None:
    def variance(warmup: int) -> float:
        runs = [
            sample(np.eye(10), np.eye(10), seed, draws=8, warmup=warmup).statistics["step_size"]
            for seed in range(12)
        ]
        return float(np.var([np.log(steps[0, 0]) for steps in runs]))

    # A ratio of two variances of twelve each exceeds 2.8 once in twenty where they are the same.
    whole, few = variance(200), variance(20)
    assert few > 2.8 * whole
    assert whole < 0.05**2


def test_a_point_higher_than_the_mode_is_told() -> None:
    # At its mode the energy is 0: a search that ended where it is 5 had not found it.
    with pytest.raises(HigherModeError) as found:
        sample(np.eye(2), np.eye(2), mode_energy=5.0)
    assert 0.5 * found.value.point @ found.value.point < 4
    # Negative control: no draw is higher than the mode.
    assert sample(np.eye(2), np.eye(2), mode_energy=0.0).flat.shape == (CHAINS, DRAWS, 2)


class Recorder:
    """A checkpoint that remembers the highest log density of every stage and chain."""

    def __init__(self) -> None:
        self.highest: dict[tuple[str, int], float] = {}

    def read(self, *_) -> None:
        return None

    def write(self, stage: str, chain: int, state, collected) -> None:
        self.highest[stage, chain] = float(collected["lp"].max())


def test_the_first_draws_are_compared_with_the_mode_too() -> None:
    recorder = Recorder()
    run = {"guess": np.eye(2), "warmup": 20}
    sample(np.eye(2), **run, checkpoint=recorder)
    in_draws, in_warmup = (
        max(lp for (stage, _), lp in recorder.highest.items() if (stage == "draws") == drawn)
        for drawn in (True, False)
    )
    assert in_draws > in_warmup
    with pytest.raises(HigherModeError) as higher:
        sample(np.eye(2), **run, mode_energy=MODE_TOLERANCE - (in_draws + in_warmup) / 2)
    assert -0.5 * higher.value.point @ higher.value.point == pytest.approx(in_draws)


def test_the_seed_decides_the_draws() -> None:
    one, same, other = (sample(np.eye(2), np.eye(2), seed).flat for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one, other).any()
    # Chains differ from each other.
    assert len(np.unique(one[:, -1, 0])) == CHAINS


def test_all_chains_take_the_same_step() -> None:
    step = sample(np.diag([1.0, 4.0]), np.eye(2)).statistics["step_size"]
    assert np.ptp(step) == 0


def test_stages_are_made_of_whole_blocks_where_they_can_be() -> None:
    assert common_block_size(75, 75, 500) == 25
    assert common_block_size(10, 10, 20) == 10
    assert common_block_size(50, 50, 60) == 10
    assert common_block_size(75, 75, 499) == 25


# Heavy tails, which NUTS leaves seldom: its effective draws are a small share of its draws.
def cauchy(degrees):
    return lambda z: 0.5 * (degrees + 1) * jnp.sum(jnp.log1p(z**2 / degrees))


HEAVY = LogDensity(
    cauchy,
    jnp.asarray(2.0),
    lambda z: tuple(map(np.asarray, jax.value_and_grad(cauchy(2.0))(jnp.asarray(z)))),
)


def test_by_default_there_are_as_many_draws_as_it_takes() -> None:
    easy, hard = sample(np.eye(2), np.eye(2), draws=None), sample(HEAVY, np.eye(3), draws=None)
    assert MIN_DRAWS <= easy.flat.shape[1] < hard.flat.shape[1] <= MAX_DRAWS
    for draws in (easy, hard):
        assert shortfall(draws.flat) <= 1
        assert all(len(v[0]) == draws.flat.shape[1] for v in draws.statistics.values())
    # The first draws of the hard one are too few, and its last are those of a fixed number.
    assert shortfall(hard.flat[:, :MIN_DRAWS]) > 1
    fixed = sample(HEAVY, np.eye(3), draws=hard.flat.shape[1])
    np.testing.assert_allclose(hard.flat, fixed.flat, rtol=1e-12)
    np.testing.assert_array_equal(hard.statistics["n_steps"], fixed.statistics["n_steps"])


def test_what_is_reported_decides_whether_draws_are_enough() -> None:
    # A random walk, of which no two chains agree.
    draws = sample(np.eye(2), np.eye(2), draws=None, quantities=lambda flat, _: flat.cumsum(axis=1))
    assert draws.flat.shape[1] == MAX_DRAWS
    # Of 16,000 numbers a quarter at least are effective in so easy a target.
    assert abs(draws.flat.mean()) < 4 / np.sqrt(4000)


def test_a_walk_that_is_approximate_from_the_start_is_corrected_or_given_up() -> None:
    near = sample(SKEWED, np.eye(2), surrogate=normal_density(np.eye(2)))
    far = sample(SKEWED, np.eye(2), surrogate=normal_density(np.diag([0.01, 1.0])))
    for draws in (near, far):
        first = draws.flat[..., 0]
        assert abs(first.mean() - MEAN) < 4 * np.sqrt(VARIANCE / float(az.ess(first)))
    assert not near.statistics["accepted"].all()
    assert far.statistics["accepted"].all()


def test_what_is_drawn_with_the_sites_counts_too() -> None:
    # Of what is given, running sums never agree; the sites themselves are independent.
    run = {"draws": None, "quantities": lambda flat, given: given.cumsum(axis=1)}
    assert sample(with_draws(SKEWED), np.eye(2), **run).flat.shape[1] == MAX_DRAWS


def test_one_chain_that_is_stuck_is_enough_to_give_an_approximation_up() -> None:
    accepted = np.ones((4, 50))
    assert min_acceptance_rate({"accepted": accepted}) == 1
    accepted[2, 1:] = 0
    assert 0 < min_acceptance_rate({"accepted": accepted}) < MIN_ACCEPTANCE_RATE
    assert accepted.mean() > MIN_ACCEPTANCE_RATE


def test_a_density_that_is_no_number_hides_no_higher_one() -> None:
    collected = {
        "lp": np.array([[np.nan, -9.0], [3.0, 1.0]]),
        "flat": np.arange(8.0).reshape(2, 2, 2),
    }
    with pytest.raises(HigherModeError) as found:
        refuse_higher_mode(collected, mode_energy=0.0)
    np.testing.assert_array_equal(found.value.point, collected["flat"][1, 0])
    refuse_higher_mode(collected, mode_energy=-3.0)


class Failing:
    """A checkpoint whose disk is full for one chain; it counts the blocks of the first one."""

    def __init__(self) -> None:
        self.full, self.blocks = Event(), 0

    def read(self, *_) -> None:
        return None

    def write(self, stage: str, chain: int, *_) -> None:
        if stage != "draws":
            return
        if chain == 1:
            self.full.set()
            raise OSError("the disk is full")
        # What came first has failed by then.
        assert self.full.wait(timeout=60)
        self.blocks += chain == 0


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="chains one after the other")
def test_a_chain_that_fails_is_heard_of_before_the_others_end() -> None:
    checkpoint = Failing()
    with pytest.raises(OSError, match="full"):
        sample(np.eye(2), np.eye(2), draws=MAX_DRAWS, checkpoint=checkpoint)
    assert checkpoint.blocks < MAX_DRAWS / MAX_BLOCK_SIZE / 2


def test_more_draws_are_whole_blocks_and_come_to_an_end() -> None:
    rng = np.random.default_rng(0)
    assert additional_draws(rng.normal(size=(CHAINS, 300, 2)), 25) == 0
    few = rng.normal(size=(CHAINS, 80, 2))
    # 320 independent draws are short of 400 effective ones.
    assert additional_draws(few, 20) == 20
    apart = rng.normal(size=(CHAINS, MAX_DRAWS, 2)) + np.arange(CHAINS)[:, None, None]
    assert additional_draws(apart[:, :300], 25) == 75
    assert additional_draws(apart[:, : MAX_DRAWS - 10], 25) == 10
    assert additional_draws(apart, 25) == 0
