import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import FlatLayout, ProgramDensity
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.whitening import Whitening, coloured, whitened
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
    """A model of Gaussian noise, both as it is written out and with its coefficients out."""

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
        self.layout = FlatLayout(self.sites(self.mode, np.zeros(terms.size)))
        self.target = ProgramDensity(lambda *rows: model.program(terms, *rows), rows, self.layout)

    def sites(self, at: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {**self.posterior.layout.sites(at), "weights": weights}

    def whitening(self, groups) -> tuple[Whitening, ExpansionPoint]:
        about = ExpansionPoint.of(self.posterior, self.mode)
        return Whitening.of(about, groups), about

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


def everything(case: Case) -> list[np.ndarray]:
    return [np.arange(case.posterior.size)]


def by_parts(case: Case) -> list[np.ndarray]:
    """Groups of different sizes."""
    return np.array_split(np.arange(case.posterior.size), [3, 10, 17])


def test_of_gaussian_noise_weights_and_hyperparameters_come_apart(case: Case, monkeypatch) -> None:
    """The density is that of the hyperparameters alone, times that of white noise."""
    # Without cutting what the data know best.
    monkeypatch.setattr("bayes_intgen.inference.density.blocks.BEST_KNOWN", np.inf)

    def rest(whitening: Whitening) -> np.ndarray:
        data = case.target.arguments, whitening
        potential = jax.jit(whitened(case.target.potential, case.layout)(data))
        return np.array(
            [
                float(potential(jnp.asarray(case.layout.flat(case.sites(at, white)))))
                - case.posterior.energy(at)[0]
                - 0.5 * white @ white
                for at, white in case.points(4)
            ]
        )

    found = rest(case.whitening(everything(case))[0])
    # What a lift test tells counts as it does with the noise of the reference point.
    atol = 1e-6 if case.posterior.sums.known is None else 0.5
    np.testing.assert_allclose(found, 0.5 * case.posterior.size * np.log(2 * np.pi), atol=atol)
    # Negative control: by parts, and as they are, they do not.
    assert np.ptp(rest(case.whitening(by_parts(case))[0])) > 1
    assert np.ptp(rest(Whitening.none(case.posterior.priors))) > 100


@pytest.mark.parametrize("groups", [everything, by_parts])
def test_the_jacobian_is_that_of_the_change(case: Case, groups) -> None:
    whitening, _ = case.whitening(groups(case))

    def weights(at: np.ndarray, white) -> jax.Array:
        return whitening.weights({**case.posterior.layout.sites(at), "weights": white})[0]

    for at, white in case.points(3):
        jacobian = jax.jacfwd(lambda white, at=at: weights(at, white))(jnp.asarray(white))
        log_det = float(whitening.weights(case.sites(at, jnp.asarray(white)))[1])
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(-log_det, rel=1e-9)
        assert log_det > 1
        # It is the same change that draws are taken back by.
        flat = case.layout.flat(case.sites(at, white))
        moved = coloured(case.layout, whitening, flat[None, None])[0, 0]
        white_at = case.layout.positions["weights"]
        np.testing.assert_allclose(moved[white_at], weights(at, jnp.asarray(white)))
        np.testing.assert_array_equal(np.delete(moved, white_at), np.delete(flat, white_at))


def test_white_numbers_have_the_covariance_that_is_told(case: Case) -> None:
    """At the reference point, where the noise is Gaussian: by the curvature of the potential."""
    whitening, about = case.whitening(by_parts(case))
    potential = whitened(case.target.potential, case.layout)((case.target.arguments, whitening))

    def energy(white: jax.Array) -> jax.Array:
        flat = jnp.asarray(case.layout.flat(case.sites(case.mode, np.zeros(len(white)))))
        return potential(flat.at[case.layout.positions["weights"]].set(white))

    zero = jnp.zeros(case.posterior.size)
    covariance = whitening.covariance(about)
    hessian = jax.jit(jax.hessian(energy))(zero)
    # Prior variances have a floor, of a ten-thousandth of what the data leave.
    np.testing.assert_allclose(hessian @ covariance, np.eye(len(zero)), atol=0.01)
    np.testing.assert_allclose(jax.jit(jax.grad(energy))(zero), 0, atol=0.01)
    # Negative control: those of different groups depend on each other.
    assert np.abs(covariance - np.eye(len(zero))).max() > 0.1


def test_where_nothing_is_known_white_numbers_are_the_weights(case: Case) -> None:
    at, white = case.points(1)[0]
    whitening = Whitening.none(case.posterior.priors)
    weights, log_det = whitening.weights(case.sites(at, jnp.asarray(white)))
    np.testing.assert_allclose(weights, white)
    assert log_det == 0
