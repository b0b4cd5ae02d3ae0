import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.gaussian.evidence import log_marginal, log_marginal_and_draw
from bayes_intgen.inference.gaussian.leading_evidence import (
    PaddedStatistics,
    common_size,
    log_marginal_and_draw_of_padded,
    log_marginal_of_padded,
    sizes_within,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.pseudo_observations import PseudoObservations

NOISE = 0.7


def sums(size: int, known: bool) -> SufficientStatistics:
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(300, size))
    # A column of zeros informs nothing, but is not padding.
    matrix[:, size // 2] = 0
    weights = rng.uniform(0.5, 2, size=300)
    statistics = SufficientStatistics.over([(matrix, rng.normal(size=300), weights)])
    if not known:
        return statistics
    tests = PseudoObservations(rng.normal(size=(2, size)), rng.normal(size=2), np.zeros(2))
    return statistics._replace(known=tests)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("size", [61, 96, 97, 150, 192, 200])
def test_evidence_and_draw_equal_those_without_padding(size, known) -> None:
    rng = np.random.default_rng(0)
    own, whole = sums(size, known), common_size(size)
    padded = PaddedStatistics.of(own, size)
    log_sd, normal = rng.normal(size=whole), rng.normal(size=whole)
    with jax.enable_x64(True):
        arguments = jnp.asarray(log_sd), jnp.asarray(NOISE), jnp.asarray(normal)
        value, draw = jax.jit(log_marginal_and_draw_of_padded)(padded, *arguments)
        expected, own_draw = log_marginal_and_draw(
            own, jnp.asarray(log_sd[:size]), jnp.asarray(NOISE), jnp.asarray(normal[:size])
        )
        only_value = log_marginal_of_padded(padded, jnp.asarray(log_sd), jnp.asarray(NOISE))
        other = log_marginal(sums(size, not known), jnp.asarray(log_sd[:size]), NOISE)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    assert float(only_value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(draw[:size], own_draw, rtol=1e-9)
    # Nothing informs the padding.
    np.testing.assert_allclose(draw[size:], (np.exp(log_sd) * normal)[size:], rtol=1e-12)
    # Negative control: other statistics.
    assert float(other) != pytest.approx(float(expected), rel=1e-6)


def test_a_program_has_a_size_for_every_number_of_coefficients() -> None:
    for count in range(1, 1000):
        whole = common_size(count)
        sizes = sizes_within(whole)
        assert sizes[-1] == whole >= count
        smallest = min(size for size in sizes if size >= count)
        # At most one step too large, except below the first program.
        assert smallest - count < 32 or whole == 192
    assert len({common_size(count) for count in range(60, 193)}) == 1
