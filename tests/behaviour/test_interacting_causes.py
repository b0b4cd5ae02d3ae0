"""Hidden causes of two actions that interact, C_j C_k in the outcome: fit, summary and storage."""

from collections.abc import Callable

import numpy as np
import pytest
from _rows import covered, fitted, moments, sampled

import bayes_intgen as bi

NAMES = ("tv", "radio", "search")
EFFECTS = (lambda x: np.tanh(1.5 * x), lambda x: 0.6 * x, lambda x: 0.3 * x**2)


def rows(size: float, seed: int) -> bi.RegimeData:
    """Rows with at most one action set; causes of the first two actions interact."""

    def outcome(actions: np.ndarray, causes: np.ndarray) -> np.ndarray:
        return truth(actions) + causes @ [1.0, -0.8, 0.7] + size * causes[:, 0] * causes[:, 1]

    own = [lambda a, c, v, pull=pull: pull * c + 0.6 * v for pull in (0.8, -0.7, 0.6)]
    counts, common = [1000, 500, 500, 500], {"noise": 0.5, "settings": 1.0, "names": NAMES}
    return sampled(own, counts, seed, outcome=outcome, **common)


def truth(points: np.ndarray) -> np.ndarray:
    return np.asarray(sum(f(x) for f, x in zip(EFFECTS, points.T, strict=True)))


def score(fit: bi.Posterior, points: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Root mean square error of joint effects, and coverage."""
    effect = fit.joint_effect(points)
    error = np.sqrt(np.mean((moments(effect)[0] - expected) ** 2))
    return error, covered(effect, expected).mean()


@pytest.fixture(scope="module")
def interacting() -> bi.Posterior:
    return fitted(rows(1.0, 0), draws=400)


def test_a_fit_says_which_causes_interact(interacting, tmp_path) -> None:
    sentence = "Hidden causes of tv and radio interact: sd over the rows"
    assert str(interacting).count("Hidden causes of") == 2
    assert sentence in str(interacting)
    interacting.save(tmp_path / "fit.nc")
    assert sentence in str(bi.load(tmp_path / "fit.nc"))
    assert sentence not in str(fitted(rows(0.0, 0), draws=400))


def test_the_joint_effect_does_not_have_the_product_of_causes() -> None:
    points = np.random.default_rng(1).uniform(-1.4, 1.4, size=(200, 3))
    fits = [fitted(rows(1.5, seed), draws=400) for seed in range(4)]
    error, inside = np.mean([score(fit, points, truth(points)) for fit in fits], axis=0)
    # Without joint biases 0.5 and 0.6, in the mean of ten seeds.
    assert error < 0.3
    assert inside > 0.8


def test_history_is_predicted_with_the_product(interacting) -> None:
    """A second route: the bias of both together is E[C_j | a_j] E[C_k | a_k]."""
    values = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    by_hand = 0.8 / (0.64 + 0.36) * -0.7 / (0.49 + 0.36)
    draws = interacting.effect(values, []) - interacting.effect(values, ["tv"])
    draws = draws.to_numpy().reshape(-1, 4)
    contrast = (draws[:, 1] - draws[:, 0] + draws[:, 3] - draws[:, 2]) / 4
    assert abs(contrast.mean() - by_hand) < 3 * contrast.std()
    assert contrast.std() < abs(by_hand) / 4


def offsetting(
    seed: int, of_both: int, own: Callable[[np.ndarray], np.ndarray], lowest: float = -2.0
) -> bi.RegimeData:
    """(A_1 - C_1)(A_2 - C_2) has mean zero wherever one action was not set, and A_1 = C_1.

    Where both were set, they are at least ``lowest``.
    """
    rng, counts = np.random.default_rng(seed), [800, 400, 400, of_both]
    masks = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=bool).repeat(counts, axis=0)
    causes, least = rng.normal(size=masks.shape), np.where(masks.all(axis=1), lowest, -2)
    actions = np.where(masks, rng.uniform(least[:, None], 2, masks.shape), causes)
    outcome = own(actions) + causes @ [0.5, -0.4] + (actions - causes).prod(axis=1)
    outcome += 0.3 * rng.normal(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES[:2])


@pytest.mark.filterwarnings("ignore:outcome 'outcome' is")
def test_rows_with_both_actions_set_correct_what_biases_offset_everywhere_else() -> None:
    def own(points: np.ndarray) -> np.ndarray:
        return np.sin(points[:, 0]) + 0.7 * points[:, 1]

    points = np.random.default_rng(7).uniform(-1.8, 1.8, size=(300, 2))
    scores = {"100 rows with several actions set": [], "no row has several": []}
    for seed in (4, 5, 6):
        data = offsetting(seed, 100, own)
        for shown, rows in zip(scores, (data, data.only([], ["tv"], ["radio"])), strict=True):
            posterior = fitted(rows, draws=400)
            scores[shown].append(score(posterior, points, own(points) + points.prod(axis=1)))
            assert shown in str(posterior)
    (error, inside), (error_without, inside_without) = (
        np.mean(own, axis=0) for own in scores.values()
    )
    assert inside > 0.8
    assert inside_without < 0.5
    assert error < error_without / 2


def test_points_far_from_rows_with_both_set_are_not_supported() -> None:
    """An interaction that these rows alone show is known where they are."""
    data = offsetting(4, 200, lambda points: points.sum(axis=1), lowest=0.2)
    with pytest.warns(bi.DataWarning):
        posterior = fitted(data, draws=200)
    assert "tv and radio interact" in str(posterior)
    points = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]]
    supported = posterior.support(points)["supported"].to_numpy().tolist()
    assert supported == [True, False, False]
    # One action alone needs no such rows.
    assert posterior.support(points, ["tv"])["supported"].to_numpy().all()
