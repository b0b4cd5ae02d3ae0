"""Test of the outcome's variance where several actions are set."""

import numpy as np
import pytest

import bayes_intgen as bi


def rows(interaction: float, together: int, seed: int, noise: str = "normal") -> bi.RegimeData:
    """Two actions; ``interaction`` is that of their hidden causes."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(
        [[False, False], [True, False], [False, True], [True, True]],
        [400, 300, 300, together],
        axis=0,
    )
    draw = {"normal": rng.normal, "skewed": lambda size: rng.exponential(size=size) - 1}[noise]
    causes = draw(size=masks.shape)
    actions = np.where(masks, rng.uniform(-2, 2, size=masks.shape), causes)
    outcome = np.sin(actions[:, 0]) + 0.7 * actions[:, 1] + causes @ [0.5, -0.4]
    outcome += interaction * np.prod(actions - causes, axis=1)
    outcome += 0.3 * draw(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcome, masks)


def check(data: bi.RegimeData, **settings) -> bi.Check:
    return bi.check(data, held_out=0, progress=False, **settings)


def of_variance(result: bi.Check):
    return result.table.isel(test=result.table["kind"].to_numpy() == "variance")


def test_twenty_joint_rows_show_interacting_causes() -> None:
    checks = [check(rows(1.0, 20, seed)) for seed in range(4)]
    assert all(result.violated for result in checks)
    tests = [of_variance(result) for result in checks]
    assert all(test["p"].item() < 0.005 for test in tests)
    # Var[(a1 - c1)(a2 - c2)] is a1^2 + a2^2 + 1, on average 11 / 3.
    sizes = [test["size"].item() for test in tests]
    assert np.median(sizes) == pytest.approx(np.sqrt(11 / 3), rel=0.35)
    assert tests[0]["between"].to_numpy().tolist() == [[True, True]]


@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_additive_causes_pass(noise: str) -> None:
    p = [of_variance(check(rows(0.0, 60, seed, noise)))["p"].item() for seed in range(5)]
    assert np.median(p) > 0.2
    assert min(p) > 0.005


def test_the_detectable_size_is_detected() -> None:
    tests = [of_variance(check(rows(0.0, 60, seed))) for seed in range(2)]
    # The noise has a standard deviation of 0.7, and a mean of 60 squares a standard error of 18%.
    for test in tests:
        assert 0.3 < test["detectable"].item() < 1.0
    interacting = of_variance(check(rows(0.8, 60, 9)))
    assert interacting["size"].item() > interacting["detectable"].item()
    assert interacting["p"].item() < 0.01


def test_too_few_rows_and_constant_variance_are_not_tested() -> None:
    few = check(rows(0.0, 4, 1))
    assert of_variance(few).sizes["test"] == 0
    assert "variance: do(a1, a2) differs from what other regimes predict" in few.table["hidden"]
    constant = check(rows(0.0, 20, 1), model=bi.models.additive(spread="constant"))
    assert of_variance(constant).sizes["test"] == 0


def test_the_statement_names_interacting_causes() -> None:
    result = check(rows(1.0, 20, seed=2), model=bi.models.additive("linear"))
    text = str(result)
    assert "Violated" in text
    assert "hidden causes take part" in text
