import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.hmc import hmc
from numpyro.infer.hmc_util import dual_averaging

from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.density.numpyro_adapter import GAMMA
from bayes_intgen.inference.sampling.kernel import INITIAL_STEP_SIZE, ChainRandomness, NUTSKernel

COVARIANCE = np.array([[4.0, 1.2], [1.2, 1.0]])
STEP, COUNT = 0.7, 2000


def normal(precision):
    return lambda z: 0.5 * z @ precision @ z


def normal_density(covariance) -> LogDensity:
    precision = np.linalg.inv(covariance)
    return LogDensity(
        normal, jnp.asarray(precision), lambda z: (float(0.5 * z @ precision @ z), precision @ z)
    )


def run(kernel: NUTSKernel, count: int, step_size: float | None, **start: np.ndarray):
    start = {"flat": np.array([1.0, -2.0]), **start}
    randomness = ChainRandomness(0, 0, 2, len(start.get("coefficients", ())))
    with jax.enable_x64(True):
        chain = kernel.begin(**start)
        kernel.compile(chain, count)
        return kernel.advance(chain, randomness.next(count), step_size)


def test_trajectories_are_those_of_nuts_in_numpyro() -> None:
    """The same numbers of steps, acceptance rates and distribution for the same step size."""
    with jax.enable_x64(True):
        kernel = NUTSKernel(normal_density(COVARIANCE), None, np.eye(2), 0.8)
        _, ours = run(kernel, COUNT, STEP)
        init, step = hmc(normal(jnp.asarray(np.linalg.inv(COVARIANCE))), algo="NUTS")
        state = init(
            jnp.array([1.0, -2.0]),
            num_warmup=0,
            step_size=STEP,
            adapt_step_size=False,
            adapt_mass_matrix=False,
            rng_key=jax.random.key(0),
        )

        def one(state, _):
            state = step(state)
            return state, (state.num_steps, state.accept_prob, state.z)

        theirs = jax.tree.map(np.asarray, jax.lax.scan(one, state, None, COUNT)[1])
    pairs = [
        (ours["n_steps"], theirs[0]),
        (ours["acceptance_rate"], theirs[1]),
        (ours["flat"][:, 0] ** 2, theirs[2][:, 0] ** 2),
    ]
    for one, other in pairs:
        one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
        # Squares of successive draws are hardly correlated: half of them are effective.
        error = np.sqrt((one.var() + other.var()) / (COUNT / 2))
        assert abs(one.mean() - other.mean()) < 4 * error
    # Negative control: another step size.
    _, shorter = run(kernel, COUNT, STEP / 1.5)
    error = np.sqrt((np.var(shorter["n_steps"]) + np.var(theirs[0])) / (COUNT / 2))
    assert abs(shorter["n_steps"].mean() - np.mean(theirs[0])) > 8 * error
    assert (ours["step_size"] == STEP).all()


def test_step_size_adapts_as_in_numpyro() -> None:
    kernel = NUTSKernel(normal_density(COVARIANCE), None, np.linalg.cholesky(COVARIANCE), 0.7)
    chain, draws = run(kernel, 30, None)
    assert draws["step_size"][0] == pytest.approx(INITIAL_STEP_SIZE)
    begin, update = dual_averaging(gamma=GAMMA)
    with jax.enable_x64(True):
        state = begin(np.log(INITIAL_STEP_SIZE))
        for i, rate in enumerate(draws["acceptance_rate"]):
            state = update(0.7 - rate, state)
            if i < 29:
                assert draws["step_size"][i + 1] == pytest.approx(float(np.exp(state[0])))
    assert float(chain.adaptation[1]) == pytest.approx(float(state[1]))


def test_initial_state_has_the_gradient_and_the_correction_of_its_point() -> None:
    surrogate, exact = normal_density(np.eye(2)), normal_density(COVARIANCE)
    flat = np.array([1.0, -2.0])
    kernel = NUTSKernel(surrogate, exact, np.linalg.cholesky(COVARIANCE), 0.8)
    with jax.enable_x64(True):
        point = kernel.begin(flat).current
        np.testing.assert_allclose(kernel.root @ point.z, flat)
        # What NUTS differentiates is a function of z.
        potential = jax.value_and_grad(lambda z: 0.5 * jnp.sum((kernel.root @ z) ** 2))
        value, gradient = potential(point.z)
    assert point.potential == pytest.approx(float(value))
    np.testing.assert_allclose(point.gradient, gradient)
    expected = exact.value_and_grad(flat)[0] - surrogate.value_and_grad(flat)[0]
    assert point.potential_correction == pytest.approx(expected)
    assert expected > 0.5


def with_coefficient(exact: LogDensity) -> LogDensity:
    """Add a coefficient that is marginalised: normal about the first coordinate."""

    def potential_and_draw(data):
        return lambda z, normal: (exact.potential(data)(z), z[0] + normal)

    return exact._replace(
        potential_and_draw=potential_and_draw,
        n_coefficients=1,
        draw=lambda flat, normal: flat[0] + normal,
    )


def test_a_chain_repeats_its_start_until_it_accepts_a_proposal() -> None:
    # The surrogate is far too wide: hardly any of its proposals is accepted.
    exact = with_coefficient(normal_density(1e-4 * np.eye(2)))
    first = np.array([0.7])
    kernel = NUTSKernel(normal_density(np.eye(2)), exact, np.eye(2), 0.8)
    _, draws = run(kernel, 20, STEP, flat=np.zeros(2), coefficients=first)
    # Delayed acceptance applies from the first iteration on.
    assert not draws["accepted"][0]
    np.testing.assert_array_equal(draws["flat"][0], np.zeros(2))
    assert draws["coefficients"][0] == first
    assert draws["lp"][0] == pytest.approx(0.0)
    moved = np.cumsum(draws["accepted"]) > 0
    assert (draws["coefficients"][~moved] == first).all()
    assert (draws["coefficients"][moved] != first).all()
    with pytest.raises(ValueError, match="begins with 1 coefficients, not 0"):
        kernel.begin(np.zeros(2))


@pytest.mark.parametrize("surrogate", [False, True])
def test_points_of_undefined_density_are_never_accepted(surrogate: bool) -> None:
    # From the point (1, -2), most proposals have a density of NaN.
    def partly(precision):
        def potential(z):
            return jnp.where(z[0] > 1.2, jnp.nan, 0.5 * z @ precision @ z)

        return potential

    plain = normal_density(np.eye(2))
    exact = with_coefficient(plain._replace(potential=partly))
    kernel = NUTSKernel(plain if surrogate else exact, exact, np.eye(2), 0.8)
    _, draws = run(kernel, 200, STEP, coefficients=np.array([0.7]))
    assert (draws["flat"][:, 0] <= 1.2).all()
    assert np.isfinite(draws["lp"]).all()
    # Every coefficient was drawn given the sites of its draw.
    deviation = draws["coefficients"][:, 0] - draws["flat"][:, 0]
    assert (np.abs(deviation) < 4.5).all()
    assert deviation[draws["accepted"]].std() == pytest.approx(1, abs=0.25)
    # Some proposals were rejected, others accepted.
    assert draws["accepted"].mean() > 0.3
    assert draws["accepted"].all() != surrogate


def test_momenta_of_padding_are_zero_and_change_no_other_random_number() -> None:
    own, padded = ChainRandomness(3, 1, 4, 2).next(12), ChainRandomness(3, 1, 4, 2, 3).next(12)
    np.testing.assert_array_equal(padded.momentum, np.pad(own.momentum, ((0, 0), (0, 3))))
    for one, other in zip(own[1:], padded[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("blocks", [[12], [5, 7], [1] * 12])
def test_random_numbers_do_not_depend_on_the_block_size(blocks: list[int]) -> None:
    whole = ChainRandomness(3, 1, 4, 2).next(12)
    randomness = ChainRandomness(3, 1, 4, 2)
    parts = [randomness.next(count) for count in blocks]
    for one, others in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(one, np.concatenate(others))
    # Other chains and other seeds have other numbers.
    for other in (ChainRandomness(3, 2, 4, 2).next(12), ChainRandomness(4, 1, 4, 2).next(12)):
        assert not any((a == b).any() for a, b in zip(whole, other, strict=True))


def test_draws_do_not_depend_on_the_block_size() -> None:
    kernel = NUTSKernel(
        normal_density(COVARIANCE), normal_density(1.1 * COVARIANCE), np.eye(2), 0.8
    )
    _, whole = run(kernel, 20, STEP)
    with jax.enable_x64(True):
        chain, randomness, pieces = (
            kernel.begin(np.array([1.0, -2.0])),
            ChainRandomness(0, 0, 2),
            [],
        )
        kernel.compile(chain, 10)
        for _ in range(2):
            chain, piece = kernel.advance(chain, randomness.next(10), STEP)
            pieces.append(piece)
    for name, values in whole.items():
        np.testing.assert_allclose(np.concatenate([piece[name] for piece in pieces]), values)
