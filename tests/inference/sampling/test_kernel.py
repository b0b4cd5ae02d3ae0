import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.hmc import hmc
from numpyro.infer.hmc_util import dual_averaging

from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.sampling.kernel import FIRST_STEP, ChainRandomness, NUTSKernel

COVARIANCE = np.array([[4.0, 1.2], [1.2, 1.0]])
STEP, COUNT = 0.7, 2000


def normal(precision):
    return lambda z: 0.5 * z @ precision @ z


def normal_density(covariance) -> LogDensity:
    precision = np.linalg.inv(covariance)
    return LogDensity(
        normal, jnp.asarray(precision), lambda z: (float(0.5 * z @ precision @ z), precision @ z)
    )


def iterations(walk: NUTSKernel, count: int, step: float | None, seed: int = 0):
    with jax.enable_x64(True):
        chain = walk.begin(np.array([1.0, -2.0]))
        walk.compile(chain, count)
        return walk.advance(chain, ChainRandomness(seed, 0, 2).next(count), step)


def test_trajectories_are_those_of_numpyros_nuts() -> None:
    """Of the same step size: as many steps, accepted as often, and the same distribution."""
    with jax.enable_x64(True):
        walk = NUTSKernel(normal_density(COVARIANCE), None, np.eye(2), 0.8)
        _, mine = iterations(walk, COUNT, STEP)
        init, kernel = hmc(normal(jnp.asarray(np.linalg.inv(COVARIANCE))), algo="NUTS")
        state = init(
            jnp.array([1.0, -2.0]),
            num_warmup=0,
            step_size=STEP,
            adapt_step_size=False,
            adapt_mass_matrix=False,
            rng_key=jax.random.key(0),
        )

        def one(state, _):
            state = kernel(state)
            return state, (state.num_steps, state.accept_prob, state.z)

        theirs = jax.tree.map(np.asarray, jax.lax.scan(one, state, None, COUNT)[1])
    pairs = [
        (mine["n_steps"], theirs[0]),
        (mine["acceptance_rate"], theirs[1]),
        (mine["flat"][:, 0] ** 2, theirs[2][:, 0] ** 2),
    ]
    for one, other in pairs:
        one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
        # Squares of successive draws are hardly correlated: half of them count.
        error = np.sqrt((one.var() + other.var()) / (COUNT / 2))
        assert abs(one.mean() - other.mean()) < 4 * error
    # Negative control: of another step size they are others.
    _, shorter = iterations(walk, COUNT, STEP / 1.5)
    error = np.sqrt((np.var(shorter["n_steps"]) + np.var(theirs[0])) / (COUNT / 2))
    assert abs(shorter["n_steps"].mean() - np.mean(theirs[0])) > 8 * error
    assert (mine["step_size"] == STEP).all()


def test_a_step_size_that_is_not_given_adapts_as_numpyros() -> None:
    walk = NUTSKernel(normal_density(COVARIANCE), None, np.linalg.cholesky(COVARIANCE), 0.7)
    chain, found = iterations(walk, 30, None)
    assert found["step_size"][0] == pytest.approx(FIRST_STEP)
    begin, update = dual_averaging()
    with jax.enable_x64(True):
        state = begin(np.log(10 * FIRST_STEP))
        for i, rate in enumerate(found["acceptance_rate"]):
            state = update(0.7 - rate, state)
            if i < 29:
                assert found["step_size"][i + 1] == pytest.approx(float(np.exp(state[0])))
    assert chain.log_step == pytest.approx(float(state[1]))


def test_a_chain_begins_where_it_is_told_to() -> None:
    walked, exact = normal_density(np.eye(2)), normal_density(COVARIANCE)
    flat = np.array([1.0, -2.0])
    walk = NUTSKernel(walked, exact, np.linalg.cholesky(COVARIANCE), 0.8)
    with jax.enable_x64(True):
        point = walk.begin(flat).point
        np.testing.assert_allclose(walk.root @ point.z, flat)
        # What NUTS differentiates is a function of z.
        value, gradient = jax.value_and_grad(lambda z: 0.5 * jnp.sum((walk.root @ z) ** 2))(point.z)
    assert point.potential == pytest.approx(float(value))
    np.testing.assert_allclose(point.gradient, gradient)
    expected = exact.energy(flat)[0] - walked.energy(flat)[0]
    assert point.excess == pytest.approx(expected)
    assert expected > 0.5


def given_about(exact: LogDensity) -> LogDensity:
    """A density with one number integrated out, which is normal about the first coordinate."""

    def given(data):
        return lambda z, normal: (exact.potential(data)(z), z[0] + normal)

    return exact._replace(given=given, given_size=1, draw=lambda flat, normal: flat[0] + normal)


def test_a_first_move_may_be_refused_and_then_the_draw_that_the_chain_began_with_stays() -> None:
    # The surrogate is far too wide: hardly any point that it leads to is accepted.
    exact = given_about(normal_density(1e-4 * np.eye(2)))
    first = np.array([0.7])
    with jax.enable_x64(True):
        walk = NUTSKernel(normal_density(np.eye(2)), exact, np.eye(2), 0.8)
        chain = walk.begin(np.zeros(2), first)
        walk.compile(chain, 20)
        _, draws = walk.advance(chain, ChainRandomness(0, 0, 2, 1).next(20), STEP)
    # The exact density decides from the first iteration on.
    assert not draws["accepted"][0]
    np.testing.assert_array_equal(draws["flat"][0], np.zeros(2))
    assert draws["given"][0] == first
    assert draws["lp"][0] == pytest.approx(0.0)
    moved = np.cumsum(draws["accepted"]) > 0
    assert (draws["given"][~moved] == first).all()
    assert (draws["given"][moved] != first).all()
    with pytest.raises(ValueError, match="begins with 1 drawn numbers, not 0"):
        walk.begin(np.zeros(2))


@pytest.mark.parametrize("surrogate", [False, True])
def test_a_density_that_is_no_number_is_never_moved_to(surrogate: bool) -> None:
    # From the point (1, -2), all but some of the proposals have no density.
    def partly(precision):
        def potential(z):
            return jnp.where(z[0] > 1.2, jnp.nan, 0.5 * z @ precision @ z)

        return potential

    plain = normal_density(np.eye(2))
    exact = given_about(plain._replace(potential=partly))
    start, first = np.array([1.0, -2.0]), np.array([0.7])
    with jax.enable_x64(True):
        walk = NUTSKernel(plain if surrogate else exact, exact, np.eye(2), 0.8)
        chain = walk.begin(start, first)
        walk.compile(chain, 200)
        _, draws = walk.advance(chain, ChainRandomness(0, 0, 2, 1).next(200), STEP)
    assert (draws["flat"][:, 0] <= 1.2).all()
    assert np.isfinite(draws["lp"]).all()
    # Every recorded number was drawn about the point that it belongs to.
    about = draws["given"][:, 0] - draws["flat"][:, 0]
    assert (np.abs(about) < 4.5).all()
    assert about[draws["accepted"]].std() == pytest.approx(1, abs=0.25)
    # Some proposals were refused, and moves were made.
    assert draws["accepted"].mean() > 0.3
    assert draws["accepted"].all() != surrogate


@pytest.mark.parametrize("blocks", [[12], [5, 7], [1] * 12])
def test_random_numbers_do_not_depend_on_how_iterations_are_cut(blocks: list[int]) -> None:
    whole = ChainRandomness(3, 1, 4, 2).next(12)
    chance = ChainRandomness(3, 1, 4, 2)
    parts = [chance.next(count) for count in blocks]
    for one, others in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(one, np.concatenate(others))
    # Other chains and other seeds have others.
    for other in (ChainRandomness(3, 2, 4, 2).next(12), ChainRandomness(4, 1, 4, 2).next(12)):
        assert not any((a == b).any() for a, b in zip(whole, other, strict=True))


def test_blocks_of_a_chain_are_those_of_one_long_one() -> None:
    walk = NUTSKernel(normal_density(COVARIANCE), normal_density(1.1 * COVARIANCE), np.eye(2), 0.8)
    _, whole = iterations(walk, 20, STEP)
    with jax.enable_x64(True):
        chain, chance, found = walk.begin(np.array([1.0, -2.0])), ChainRandomness(0, 0, 2), []
        walk.compile(chain, 10)
        for _ in range(2):
            chain, piece = walk.advance(chain, chance.next(10), STEP)
            found.append(piece)
    for name, values in whole.items():
        np.testing.assert_allclose(np.concatenate([piece[name] for piece in found]), values)
