import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.advice import advice_on_copies
from bayes_intgen.data.validation import MIN_COPIES_SHARE, refuse_exact_replicates

from conftest import confounded_rows


def design(doses: int, replicates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Controls and doses of one action at a time: actions, mean outcome, masks."""
    levels = np.linspace(1, 4, doses)
    actions = np.zeros((1 + 2 * doses, 2))
    actions[1 : 1 + doses, 0] = actions[1 + doses :, 1] = levels
    actions = np.repeat(actions, replicates, axis=0)
    return actions, 3 * np.sqrt(actions).sum(axis=1) + actions[:, 1] ** 1.3, actions > 0


def table(outcome: np.ndarray, actions: np.ndarray, intervened: np.ndarray) -> bi.RegimeData:
    return bi.RegimeData.from_arrays(actions, outcome, intervened)


# Degrees of freedom and noise of a fit that interpolates all cells.
THROUGH_ALL = {"freedom": 1e9, "noise": 0.0}


@pytest.mark.filterwarnings("ignore:.*too few for a smooth function")
@pytest.mark.parametrize("doses", [3, 4, 20])
def test_replicates_without_variation_raise(doses: int) -> None:
    actions, mean, intervened = design(doses, replicates=4)
    data = table(mean, actions, intervened)
    count = 4 * (1 + 2 * doses)
    repeated = f"exactly wherever.*{count * 3 // 4} of {count} rows.*drop the dup"
    with pytest.raises(bi.DataError, match=repeated):
        bi.fit(data, progress=False)


def test_few_rows_without_replicates_do_not_hide_replicates() -> None:
    actions, mean, intervened = design(doses=4, replicates=4)
    rng = np.random.default_rng(0)
    more = rng.uniform(1, 4, size=(6, 2))
    joint = table(
        np.append(mean, more.sum(axis=1) + rng.normal(size=6)),
        np.concatenate([actions, more]),
        np.concatenate([intervened, np.zeros((6, 2), dtype=bool)]),
    )
    with pytest.raises(bi.DataError, match="drop the duplicates"):
        refuse_exact_replicates(joint, **THROUGH_ALL)


def legitimate() -> dict[str, bi.RegimeData]:
    rng = np.random.default_rng(1)
    actions, mean, intervened = design(doses=4, replicates=8)
    noisy = mean + rng.normal(size=len(mean))
    two_valued, _, sets = design(doses=1, replicates=200)
    linear = two_valued @ [1.0, -2.0]
    partly = noisy.copy()
    # The controls and one dose are constant, as after subtraction of a baseline.
    partly[:8], partly[8:16] = 0.0, 1.5
    survivors = np.where(rng.random(len(mean)) < 1 / (1 + np.exp(mean - 5)), 1.0, 0.0)
    plain = confounded_rows(100, seed=0)
    zero = plain.actions.copy()
    zero[:100] = 0
    inflated = np.where((zero == 0).all(axis=1), 0.0, plain.outcome)
    few, few_mean, few_sets = design(doses=3, replicates=2)
    return {
        "replicates with noise": table(noisy, actions, intervened),
        "two-valued actions": table(linear + rng.normal(size=600), two_valued, sets),
        "rounded outcomes": table(np.round(linear + rng.normal(size=600), 1), two_valued, sets),
        "counts": table(rng.poisson(mean).astype(float), actions, intervened),
        "binary outcomes": table(survivors, actions, intervened),
        "binary outcomes that agree": table((few_mean > 4).astype(float), few, few_sets),
        "ratings that agree": table(np.clip(np.round(few_mean / 4), 1, 3), few, few_sets),
        "constant cells in part of a table": table(partly, actions, intervened),
        "one baseline without noise": table(inflated, zero, plain.intervened),
        "no repeats": plain,
    }


@pytest.mark.parametrize("name", legitimate())
def test_legitimate_tables_neither_raise_nor_warn(name: str) -> None:
    data = legitimate()[name]
    refuse_exact_replicates(data, **THROUGH_ALL)
    # A constant baseline consists of copies, for which advice is correct.
    assert not advice_on_copies(data) or "baseline" in name or "part" in name


def copied(count: int, noise: float = 0.0) -> bi.RegimeData:
    """300 rows, and copies of some of them."""
    plain = confounded_rows(100, seed=0)
    copies = np.random.default_rng(0).permutation(len(plain))[:count]
    rows = np.concatenate([np.arange(len(plain)), copies])
    extra = noise * np.random.default_rng(1).normal(size=len(rows))
    return table(plain.outcome[rows] + extra, plain.actions[rows], plain.intervened[rows])


@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
@pytest.mark.parametrize("count", [120, 300])
def test_warning_counts_exact_copies(count: int) -> None:
    message = f"{count} of {300 + count} rows are exact copies"
    with pytest.warns(bi.DataWarning, match=message) as caught:
        bi.fit(copied(count), bi.models.additive("linear"), method="laplace", progress=False)
    assert caught[0].filename == __file__


def test_few_copies_and_repeated_measurements_do_not_warn() -> None:
    few = int(MIN_COPIES_SHARE * 300) - 2
    for data in (copied(few), copied(120, noise=0.01)):
        assert not advice_on_copies(data)


def test_rows_of_other_units_or_weights_are_not_copies() -> None:
    rng = np.random.default_rng(0)
    actions = np.tile(rng.normal(size=(40, 1)), (2, 1))
    outcome, masks = np.tile(rng.normal(size=40), 2), np.arange(80)[:, None] % 2 == 0
    unit = {"groups": {"patient": np.repeat(["a", "b"], 40)}}
    age = {"covariates": {"age": rng.normal(size=80)}}
    for more in (unit, age, {"weights": 1 + np.arange(80)}):
        assert not advice_on_copies(bi.RegimeData.from_arrays(actions, outcome, masks, **more))
    same = bi.RegimeData.from_arrays(actions, outcome, masks, weights=np.full(80, 3))
    assert advice_on_copies(same)[0].startswith("40 of 80 rows are exact copies")


def test_averages_with_standard_deviations_may_repeat_exactly() -> None:
    arrays, weights = design(doses=4, replicates=4), np.full(36, 5)
    with_sd = bi.RegimeData.from_arrays(*arrays, weights=weights, outcome_sd=np.ones(36))
    refuse_exact_replicates(with_sd, **THROUGH_ALL)
    weighted = bi.RegimeData.from_arrays(*arrays, weights=weights)
    with pytest.raises(bi.DataError, match="exactly wherever"):
        refuse_exact_replicates(weighted, **THROUGH_ALL)
