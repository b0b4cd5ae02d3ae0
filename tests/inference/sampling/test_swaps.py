import arviz as az
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bayes_intgen as bi
from bayes_intgen._jax import double_precision
from bayes_intgen.inference.density.log_density import LogDensity, value_and_grad
from bayes_intgen.inference.sampling.kernel import ChainRandomness, NUTSKernel
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.sampling.stopping import MAX_DRAWS
from bayes_intgen.inference.sampling.swaps import correlated_pairs, pairs_of_scales
from bayes_intgen.inference.settings import SamplerSettings

PAIR = np.array([[0, 1]])
COVARIANCE = np.array([[1.5, -0.9], [-0.9, 2.0]])
DISTANCE, COUNT = 8.0, 20_000


def two_modes(data):
    """Modes with one large coordinate each, of other widths."""
    weight, width = data

    def potential(x):
        first = ((x[0] - DISTANCE) / width) ** 2 + x[1] ** 2
        second = x[0] ** 2 + (x[1] - DISTANCE) ** 2
        logs = jnp.log(weight / width) - first / 2, jnp.log1p(-weight) - second / 2
        return -jnp.logaddexp(*logs)

    return potential


def density(weight: float, width: float) -> LogDensity:
    data = (np.array(weight), np.array(width))
    return LogDensity(two_modes, data, lambda flat: value_and_grad(two_modes, data, flat))


def draws_of_chain(kernel: NUTSKernel, pairs: np.ndarray | None) -> np.ndarray:
    """Draws of one chain, shape (draw, 2), which begins at the first mode."""
    randomness = ChainRandomness(0, 0, 2)
    randomness.pairs = pairs
    with double_precision():
        chain = kernel.begin(np.array([DISTANCE, 0.0]))
        kernel.compile(chain, COUNT)
        flat = kernel.advance(chain, randomness.next(COUNT), 0.6)[1]["flat"]
    return flat


@pytest.mark.parametrize("is_corrected", [False, True])
def test_swaps_have_the_right_distribution(is_corrected) -> None:
    exact = density(0.7, 1.5)
    surrogate = density(0.4, 1.2) if is_corrected else exact
    root = np.linalg.cholesky(COVARIANCE)
    kernel = NUTSKernel(surrogate, exact if is_corrected else None, root, 0.8)
    flat = draws_of_chain(kernel.with_swaps(), PAIR)
    is_first = flat[:, 0] > flat[:, 1]
    deviation = np.where(is_first, flat[:, 0] - DISTANCE, 0.0)
    expected = [(is_first, 0.7), (deviation, 0.0), (deviation**2, 0.7 * 1.5**2)]
    for values, mean in expected:
        values = values.astype(float)
        effective = float(az.ess(values[None], method="mean"))
        assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(effective)
    # Negative control: without swaps the chain never leaves the mode where it begins.
    stuck = draws_of_chain(kernel, None)
    assert (stuck[:, 0] > stuck[:, 1]).all()


def test_posteriors_with_two_modes_converge() -> None:
    starts = np.array([[DISTANCE, 0.0], [DISTANCE, 0.5], [DISTANCE, -0.5], [0.0, DISTANCE]])
    settings = SamplerSettings(chains=4, draws=None, warmup=60, seed=1, progress=False)
    with double_precision():
        draws = nuts(density(0.7, 1.5), starts, np.eye(2), settings, pairs=PAIR).flat
        stuck = nuts(density(0.7, 1.5), starts, np.eye(2), settings).flat
    assert draws.shape[1] < MAX_DRAWS / 3
    is_first = (draws[..., 0] > draws[..., 1]).astype(float)
    effective = float(az.ess(is_first, method="mean"))
    assert abs(is_first.mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / effective)
    assert np.ptp(is_first.mean(axis=1)) < 0.25
    # Negative control: without swaps every chain stays in its mode.
    assert stuck.shape[1] == MAX_DRAWS
    assert_array_equal((stuck[..., 0] > stuck[..., 1]).mean(axis=1), [1, 1, 1, 0])


def test_scales_of_functions_of_the_same_inputs_may_be_swapped(data) -> None:
    terms = bi.models.additive().decompose(data)
    names = list(terms.scaled)
    pairs = [(names[i], names[j]) for i, j in pairs_of_scales(terms, range(len(names)))]
    own = ["phi(red) slope", "phi(red)", "delta(red) slope", "delta(red)", "delta(green | red)"]
    assert [pair for pair in pairs if "phi(red)" in pair] == [
        tuple(sorted((one, "phi(red)"), key=names.index)) for one in own if one != "phi(red)"
    ]
    assert not [pair for pair in pairs if "delta(green | red) interaction" in pair]
    assert pairs_of_scales(terms, np.arange(len(names)) + 7).min() >= 7


def test_pairs_with_two_modes_are_negatively_correlated() -> None:
    rng = np.random.default_rng(0)
    modes = rng.random(1000) < 0.9
    draws = rng.normal(size=(1000, 5))
    draws[:, 0] += np.where(modes, 5, 0)
    draws[:, 3] += np.where(modes, 0, 5)
    # As that of padding.
    draws[:, 4] = 0.0
    every = np.array([[0, 1], [0, 3], [1, 2], [0, 4]])
    assert_array_equal(correlated_pairs(draws, every), [[0, 3]])
    assert len(correlated_pairs(draws[modes], every)) == 0
    assert len(correlated_pairs(draws, np.zeros((0, 2), dtype=int))) == 0
