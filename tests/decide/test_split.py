"""Best allocations of rows: against a grid of shares, closed forms, and numerical gradients."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.decide.belief import Allocation, Belief, Targets


def random_allocation(seed: int, regimes: int) -> tuple[Allocation, float]:
    rng = np.random.default_rng(seed)
    size, targets = int(rng.integers(4, 20)), int(rng.integers(1, 6))
    informations = []
    for _ in range(regimes):
        rows = rng.normal(size=(int(rng.integers(2, size + 3)), size))
        informations.append(rows.T @ rows / len(rows))
    wanted = Targets(rng.normal(size=(targets, size)), np.zeros(targets), np.ones(targets))
    belief, costs = Belief.known(np.eye(size)), rng.uniform(0.5, 3, regimes)
    allocation = Allocation(belief, wanted, np.stack(informations), costs)
    return allocation, float(10 ** rng.uniform(0, 4))


@pytest.mark.parametrize("seed", range(30_000, 30_008))
def test_no_shares_of_a_grid_are_better(seed: int) -> None:
    allocation, total = random_allocation(seed, 3)
    best = allocation.best_rows(total)
    assert best @ allocation.costs == pytest.approx(total)
    grid = [np.array(w) / 20 for w in product(range(21), repeat=3) if sum(w) == 20]
    values = [allocation.mean_variance(w * total / allocation.costs)[0] for w in grid]
    assert allocation.mean_variance(best)[0] <= min(values) * (1 + 1e-6)
    # Negative control: equal shares are worse.
    equal = allocation.mean_variance(total / 3 / allocation.costs)[0]
    assert allocation.mean_variance(best)[0] < equal


def test_rows_for_a_width_are_found_by_their_own_split() -> None:
    allocation, _ = random_allocation(30_011, 3)
    width = allocation.mean_width(allocation.best_rows(300.0))
    assert allocation.rows_for(width) == pytest.approx(300, abs=1.5)
    assert allocation.rows_for(1.0) == 0


def test_first_study_splits_levels_as_their_variance_says() -> None:
    # At the middle of the ranges only the level matters: sum_j s^2 / n_j + (K - 1)^2 s^2 / n_0.
    ranges = dict.fromkeys(("tv", "radio", "print"), (-1.0, 1.0))
    model = bi.models.additive("linear", graph={}, interactions=None)
    middle = dict.fromkeys(ranges, 0.0)
    table = bi.design(ranges, 1_000_000, middle, model=model)
    np.testing.assert_allclose(table.share, [0.4, 0.2, 0.2, 0.2], atol=0.01)
    # Shapes matter at the ends, and need experiments.
    ends = bi.design(ranges, 1_000_000, dict.fromkeys(ranges, 1.0), model=model, seed=1)
    assert float(ends.share[0]) < 0.37
    assert (table.width_of_total.diff("total") < 0).all()
    assert float(table.width) < float(table.width_of_equal_split) < float(table.width_before)


def test_design_of_historical_rows_and_levels() -> None:
    rng = np.random.default_rng(0)
    history = pd.DataFrame({"tv": rng.gamma(2, size=80), "drug": rng.choice(["a", "b"], 80)})
    table = bi.design(history, 500, costs={"do(tv)": 4.0})
    assert list(table.regime.to_numpy()) == ["observational", "do(tv)", "do(drug)"]
    assert float((table.rows * table.cost).sum()) == pytest.approx(500, abs=6)
    # The same levels as a list, and a range of NumPy integers.
    for ends in ((0, 5), np.array([0, 5])):
        listed = bi.design({"tv": ends, "drug": ["a", "b"]}, 500, {"tv": 1.0, "drug": "b"})
        assert listed.rows.to_numpy().tolist() == [122, 204, 174]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bi.design({}, 10), "actions are empty"),
        (lambda: bi.design(3, 10), "must map names to ranges"),
        (lambda: bi.design({"a": (2e6, 0)}, 10), "range of 'a' is empty: 2,000,000 is not below 0"),
        (lambda: bi.design({"tv": ["a"]}, 10), "two or more values"),
        (lambda: bi.design({"tv": [[1, 2], [3]]}, 10), "'tv'] must be numbers or levels, not"),
        (lambda: bi.design({"tv": (0, 1)}, 0), "rows must be a whole number"),
        (lambda: bi.design({"tv": (0, 1)}, 10, noise=0), "noise must be positive"),
        (lambda: bi.design({"tv": (0, 1)}, 10, regimes=["radio"]), "unknown action 'radio'"),
        (lambda: bi.design({"tv": (0, 1)}, 10, costs={"do(tb)": 1}), "unknown regime 'do"),
    ],
)
def test_bad_designs_are_named(call, message: str) -> None:
    with pytest.raises(bi.ModelError, match=message):
        call()
