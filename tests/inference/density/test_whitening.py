import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import FlatLayout, ProgramDensity
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.whitening import Whitening, unwhitened, whitened
from bayes_intgen.inference.gaussian.passes import pseudo_observations, sufficient_statistics
from bayes_intgen.models.base import Model
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows

DATA = confounded_rows(40, seed=3)
DATASETS = {"rows": DATA, "lift": DATA.add_lift_test("red", -1, 1, effect=2.5, se=0.3)}


@pytest.fixture(autouse=True)
def _as_in_a_fit():
    with jax.enable_x64(True):
        yield


class Case:
    """A model of Gaussian noise: its full program and its marginal posterior."""

    def __init__(self, data: bi.RegimeData) -> None:
        model: Model = bi.models.additive(prior=bi.GP(size=5), spread="constant")
        terms = model.decompose(data)
        self.posterior = MarginalPosterior.of(
            model, terms, sufficient_statistics(data, terms, Homoscedastic(), False)
        )
        self.mode = self.posterior.mode(self.posterior.start, progress=False)
        rows = (
            terms.functions(data.actions),
            terms.gates(data.intervened),
            np.ones(len(data)),
            data.outcome - terms.centre,
            pseudo_observations(data, terms),
        )
        self.layout = FlatLayout.of(self.sites(self.mode, np.zeros(terms.size)))
        self.program = ProgramDensity(lambda *rows: model.program(terms, *rows), rows, self.layout)

    def sites(self, at: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {**self.posterior.layout.sites(at), "weights": weights}

    def whitening(self, blocks, **options) -> tuple[Whitening, ExpansionPoint]:
        expansion = ExpansionPoint.of(self.posterior, self.mode)
        return Whitening.of(expansion, blocks, **options), expansion

    def points(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(0)
        root = np.linalg.cholesky(self.posterior.covariance(self.mode))
        return [
            (self.mode + root @ rng.normal(size=len(root)), rng.normal(size=self.posterior.size))
            for _ in range(count)
        ]


@pytest.fixture(params=DATASETS, scope="module")
def case(request) -> Case:
    with jax.enable_x64(True):
        return Case(DATASETS[request.param])


def one_block(case: Case) -> list[np.ndarray]:
    return [np.arange(case.posterior.size)]


def several_blocks(case: Case) -> list[np.ndarray]:
    """Blocks of different sizes."""
    return np.array_split(np.arange(case.posterior.size), [3, 10, 17])


def test_whitening_makes_weights_independent_under_gaussian_noise(case: Case) -> None:
    """The density is the marginal posterior times that of white noise."""

    def rest(whitening: Whitening) -> np.ndarray:
        data = case.program.arguments, whitening
        potential = jax.jit(whitened(case.program.potential, case.layout)(data))
        return np.array(
            [
                float(potential(jnp.asarray(case.layout.flat(case.sites(at, white)))))
                - case.posterior.value_and_grad(at)[0]
                - 0.5 * white @ white
                for at, white in case.points(4)
            ]
        )

    # Without the cap on precisions.
    whitening, _ = case.whitening(one_block(case), max_precision_ratio=np.inf)
    # A pseudo-observation has its weight at the expansion point for every value of the noise.
    atol = 1e-6 if case.posterior.sums.known is None else 0.5
    np.testing.assert_allclose(
        rest(whitening), 0.5 * case.posterior.size * np.log(2 * np.pi), atol=atol
    )
    # Negative control: with several blocks, and without whitening, they are not.
    assert np.ptp(rest(case.whitening(several_blocks(case))[0])) > 1
    assert np.ptp(rest(Whitening.none(case.posterior.priors))) > 100


@pytest.mark.parametrize("blocks", [one_block, several_blocks])
def test_log_determinant_is_that_of_the_jacobian(case: Case, blocks) -> None:
    whitening, _ = case.whitening(blocks(case))

    def weights(at: np.ndarray, white) -> jax.Array:
        return whitening.weights({**case.posterior.layout.sites(at), "weights": white})[0]

    for at, white in case.points(3):
        jacobian = jax.jacfwd(lambda white, at=at: weights(at, white))(jnp.asarray(white))
        log_det = float(whitening.weights(case.sites(at, jnp.asarray(white)))[1])
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(-log_det, rel=1e-9)
        assert log_det > 1
        # Draws are transformed back in the same way.
        flat = case.layout.flat(case.sites(at, white))
        back = unwhitened(case.layout, whitening, flat[None, None])[0, 0]
        white_at = case.layout.positions["weights"]
        np.testing.assert_allclose(back[white_at], weights(at, jnp.asarray(white)))
        np.testing.assert_array_equal(np.delete(back, white_at), np.delete(flat, white_at))


@pytest.mark.slow
def test_whitened_weights_have_the_expected_covariance(case: Case) -> None:
    """At the expansion point, by the Hessian of the potential."""
    whitening, expansion = case.whitening(several_blocks(case))
    potential = whitened(case.program.potential, case.layout)((case.program.arguments, whitening))

    def potential_of(white: jax.Array) -> jax.Array:
        flat = jnp.asarray(case.layout.flat(case.sites(case.mode, np.zeros(len(white)))))
        return potential(flat.at[case.layout.positions["weights"]].set(white))

    zero = jnp.zeros(case.posterior.size)
    covariance = whitening.covariance(expansion)
    hessian = jax.jit(jax.hessian(potential_of))(zero)
    # Up to the minimum prior variance, 1e-4 of the variance given the data.
    np.testing.assert_allclose(hessian @ covariance, np.eye(len(zero)), atol=0.01)
    np.testing.assert_allclose(jax.jit(jax.grad(potential_of))(zero), 0, atol=0.01)
    # Negative control: weights in different blocks are dependent.
    assert np.abs(covariance - np.eye(len(zero))).max() > 0.1


def test_no_whitening_leaves_the_weights_as_they_are(case: Case) -> None:
    at, white = case.points(1)[0]
    whitening = Whitening.none(case.posterior.priors)
    weights, log_det = whitening.weights(case.sites(at, jnp.asarray(white)))
    np.testing.assert_allclose(weights, white)
    assert log_det == 0
