"""Hidden causes of two actions that interact, C_j C_k in the outcome: fit, summary and storage."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

NAMES = ("tv", "radio", "search")
EFFECTS = (lambda x: np.tanh(1.5 * x), lambda x: 0.6 * x, lambda x: 0.3 * x**2)


def rows(size: float, seed: int) -> bi.RegimeData:
    """Rows with at most one action set; causes of the first two actions interact."""
    rng, frames = np.random.default_rng(seed), []
    for regime, count in (("observational", 1000), *((name, 500) for name in NAMES)):
        causes = rng.normal(size=(count, 3))
        actions = [0.8, -0.7, 0.6] * causes + 0.6 * rng.normal(size=(count, 3))
        if regime in NAMES:
            actions[:, NAMES.index(regime)] = rng.normal(size=count)
        outcome = truth(actions) + causes @ [1.0, -0.8, 0.7] + 0.5 * rng.normal(size=count)
        outcome += size * causes[:, 0] * causes[:, 1]
        frames.append(pd.DataFrame(actions, columns=NAMES).assign(sales=outcome, regime=regime))
    return bi.RegimeData.from_frame(pd.concat(frames), NAMES, "sales", "regime")


def truth(points: np.ndarray) -> np.ndarray:
    return np.asarray(sum(f(x) for f, x in zip(EFFECTS, points.T, strict=True)))


def fitted(size: float, seed: int) -> bi.Posterior:
    return bi.fit(rows(size, seed), method="laplace", draws=400, progress=False)


@pytest.fixture(scope="module")
def interacting() -> bi.Posterior:
    return fitted(1.0, 0)


def test_a_fit_says_which_causes_interact(interacting, tmp_path) -> None:
    sentence = "Hidden causes of tv and radio interact: sd over the rows"
    assert str(interacting).count("Hidden causes of") == 2
    assert sentence in str(interacting)
    interacting.save(tmp_path / "fit.nc")
    assert sentence in str(bi.load(tmp_path / "fit.nc"))
    assert sentence not in str(fitted(0.0, 0))


def test_the_joint_effect_does_not_have_the_product_of_causes() -> None:
    points = np.random.default_rng(1).uniform(-1.4, 1.4, size=(200, 3))
    errors, covered = [], []
    for seed in range(4):
        draws = fitted(1.5, seed).joint_effect(points).to_numpy().reshape(-1, len(points))
        errors.append(np.sqrt(np.mean((draws.mean(axis=0) - truth(points)) ** 2)))
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        covered.append(np.mean((low < truth(points)) & (truth(points) < high)))
    # Without joint biases 0.5 and 0.6, in the mean of ten seeds.
    assert np.mean(errors) < 0.3
    assert np.mean(covered) > 0.8


def test_history_is_predicted_with_the_product(interacting) -> None:
    """A second route: the bias of both together is E[C_j | a_j] E[C_k | a_k]."""
    values = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    by_hand = 0.8 / (0.64 + 0.36) * -0.7 / (0.49 + 0.36)
    draws = interacting.effect(values, []) - interacting.effect(values, ["tv"])
    draws = draws.to_numpy().reshape(-1, 4)
    contrast = (draws[:, 1] - draws[:, 0] + draws[:, 3] - draws[:, 2]) / 4
    assert abs(contrast.mean() - by_hand) < 3 * contrast.std()
    assert contrast.std() < abs(by_hand) / 4


@pytest.mark.filterwarnings("ignore:outcome 'outcome' is")
def test_rows_with_both_actions_set_correct_what_biases_offset_everywhere_else() -> None:
    """(A_1 - C_1)(A_2 - C_2) has mean zero wherever one action was not set, and A_1 = C_1."""
    scores = []
    for seed in (4, 5, 6):
        rng, tables = np.random.default_rng(seed), []
        for mask, count in (((0, 0), 800), ((1, 0), 400), ((0, 1), 400), ((1, 1), 100)):
            causes = rng.normal(size=(count, 2))
            actions = np.where(mask, rng.uniform(-2, 2, (count, 2)), causes)
            outcome = np.sin(actions[:, 0]) + actions @ [0, 0.7] + causes @ [0.5, -0.4]
            outcome += (actions - causes).prod(axis=1) + 0.3 * rng.normal(size=count)
            tables.append((actions, outcome, np.tile(np.array(mask, dtype=bool), (count, 1))))
        actions, outcome, masks = map(np.concatenate, zip(*tables, strict=True))
        points = rng.uniform(-1.8, 1.8, size=(300, 2))
        expected = np.sin(points[:, 0]) + 0.7 * points[:, 1] + points.prod(axis=1)
        for kept in (np.ones(len(masks), dtype=bool), ~masks.all(axis=1)):
            rows = bi.RegimeData.from_arrays(actions[kept], outcome[kept], masks[kept], NAMES[:2])
            posterior = bi.fit(rows, method="laplace", draws=400, progress=False)
            draws = posterior.joint_effect(points).to_numpy().reshape(-1, len(points))
            low, high = np.quantile(draws, [0.05, 0.95], axis=0)
            covered = np.mean((low < expected) & (expected < high))
            scores.append((covered, np.sqrt(np.mean((draws.mean(axis=0) - expected) ** 2))))
            shown = "100 rows with several actions set" if kept.all() else "no row has several"
            assert shown in str(posterior)
    (covered, error), (covered_without, error_without) = (
        np.mean(scores[first::2], axis=0) for first in (0, 1)
    )
    assert covered > 0.8
    assert covered_without < 0.5
    assert error < error_without / 2


def test_points_far_from_rows_with_both_set_are_not_supported() -> None:
    """An interaction that these rows alone show is known where they are."""
    rng, tables = np.random.default_rng(4), []
    for mask, count in (((0, 0), 800), ((1, 0), 400), ((0, 1), 400), ((1, 1), 200)):
        causes = rng.normal(size=(count, 2))
        settings = rng.uniform(0.2 if all(mask) else -2, 2, (count, 2))
        actions = np.where(mask, settings, causes)
        outcome = actions.sum(axis=1) + causes @ [0.5, -0.4] + 0.3 * rng.normal(size=count)
        outcome += (actions - causes).prod(axis=1)
        tables.append((actions, outcome, np.tile(np.array(mask, dtype=bool), (count, 1))))
    data = bi.RegimeData.from_arrays(*map(np.concatenate, zip(*tables, strict=True)), NAMES[:2])
    with pytest.warns(bi.DataWarning):
        posterior = bi.fit(data, method="laplace", draws=200, progress=False)
    assert "tv and radio interact" in str(posterior)
    points = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]]
    supported = posterior.support(points)["supported"].to_numpy().tolist()
    assert supported == [True, False, False]
    # One action alone needs no such rows.
    assert posterior.support(points, ["tv"])["supported"].to_numpy().all()
