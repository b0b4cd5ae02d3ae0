"""Probabilities of edges of the graph, learned from rows in which actions were set."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _rows import one_at_a_time, sampled

import bayes_intgen as bi
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.graph_evidence import with_parents

MODEL = bi.models.additive()


def learned(data: bi.RegimeData, graph=None) -> np.ndarray:
    return with_parents(data, replace(MODEL, graph=graph), MODEL.decompose(data)).parents


def exogenous(actions, cause, noise):
    return cause + 0.5 * noise


def test_a_cause_is_told_from_an_effect() -> None:
    data = sampled([exogenous, lambda a, c, v: 0.4 * a[:, 0] + c + 0.5 * v], 500, seed=0)
    probability = learned(data)
    assert probability[1, 0] > 0.95
    assert probability[0, 1] < 0.05
    assert probability.diagonal().tolist() == [0, 0]


def test_of_many_rows_those_that_take_turns_are_all_seen() -> None:
    functions = [exogenous, lambda a, c, v: np.arange(len(a)) % 2 * a[:, 0] + c]
    assert learned(sampled(functions, [100, 24_000, 100]))[1, 0] > 0.95


@pytest.mark.parametrize("slope", [1.0, 0.0])
def test_an_experiment_in_some_of_many_groups_tells_of_an_edge(slope: float) -> None:
    """Levels of groups take few of the degrees of freedom of an experiment."""
    rng = np.random.default_rng(6)
    group, week = np.divmod(np.arange(24 * 50), 50)
    masks = (week[:, None] < 16) & (group[:, None] % 4 == np.arange(2))
    actions = rng.normal(size=masks.shape) + 0.5 * rng.normal(size=24)[group, None]
    settings = rng.normal(size=masks.shape)
    actions[:, 0] = np.where(masks[:, 0], settings[:, 0], actions[:, 0])
    actions[:, 1] = np.where(masks[:, 1], settings[:, 1], actions[:, 1] + slope * actions[:, 0])
    columns = {"covariates": {"week": week}, "groups": {"group": group.astype(str)}}
    outcome = actions.sum(axis=1) + rng.normal(size=len(group))
    probability = learned(bi.RegimeData.from_arrays(actions, outcome, masks, **columns))
    # One quarter, the prior, if levels of all groups counted.
    assert (probability[1, 0] > 0.6) == bool(slope)
    assert (probability[1, 0] < 0.2) == (not slope)
    assert probability[0, 1] < 0.2


def test_rows_that_persist_are_few_independent_ones() -> None:
    """Settings that are held, and an action that persists, look alike for a while."""
    unit, week = np.divmod(np.arange(12 * 48), 48)
    masks = np.stack([(unit < 6) & (week < 16), (unit >= 6) & (week < 16)], axis=1)
    regime = np.array(["", "a", "b"])[masks @ [1, 2]]

    def probability_of_edge(seed: int, weeks: int, **order: str) -> float:
        """With settings that are held for some weeks; new ones move the other action."""
        rng = np.random.default_rng(seed)
        actions = rng.normal(size=masks.shape)
        for i in np.flatnonzero(week):
            actions[i] = 0.95 * actions[i - 1] + np.sqrt(1 - 0.95**2) * actions[i]
        settings = 1.5 * rng.normal(size=masks.shape)[unit * 48 + week // weeks * weeks]
        actions[:, 1] += settings[:, 0] * masks[:, 0] * (weeks == 1)
        a, b = np.where(masks, settings, actions).T
        columns = {"a": a, "b": b, "y": a + rng.normal(size=len(a)), "regime": regime}
        frame = pd.DataFrame(columns).assign(week=week, unit=unit)
        return learned(bi.RegimeData.from_frame(frame, ["a", "b"], "y", "regime", **order))[1, 0]

    order = {"unit": "unit", "time": "week"}
    assert max(probability_of_edge(seed, 8) for seed in range(6)) > 0.9
    assert max(probability_of_edge(seed, 8, **order) for seed in range(6)) < 0.25
    # Negative control: an edge, and settings that are not held.
    assert np.median([probability_of_edge(seed, 1, **order) for seed in range(6)]) > 0.9


def test_few_rows_of_an_experiment_show_an_edge() -> None:
    """Sixty are too few for six functions of an action, and forty are enough for a line."""
    functions = [exogenous, lambda a, c, v: 0.9 * a[:, 0] + c + 0.5 * v]
    each = np.array([learned(sampled(functions, 40, seed)) for seed in range(15)])
    assert np.median(each[:, 1, 0]) > 0.9
    # Negative control: the other direction.
    assert (each[:, 0, 1] > 0.35).mean() < 0.1


def test_an_ancestor_is_no_parent() -> None:
    chain = [exogenous] + [lambda a, c, v, k=k: 0.9 * a[:, k - 1] + c + 0.5 * v for k in (1, 2)]
    each = np.array([learned(sampled(chain, 1000, seed)) for seed in range(1, 10)])
    assert min(each[:, 1, 0].min(), each[:, 2, 1].min()) > 0.95
    # In seed 1 they depend on each other by chance, with t = 3.4.
    assert np.median(each[:, 2, 0]) < 0.2
    # Negative control: a direct edge beside the chain, which cancels it or does not.
    for slope in (0.9, -0.81):
        chain[2] = lambda a, c, v, slope=slope: 0.9 * a[:, 1] + slope * a[:, 0] + c + 0.5 * v
        assert learned(sampled(chain, 1000, seed=1))[2, 0] > 0.95


def test_no_edge_through_a_common_effect() -> None:
    """Conditioning on the mediator of one edge must not open a path through its other parent."""
    common = [lambda a, c, v, k=k: a[:, k] + a[:, k + 1] + 0.3 * c for k in (0, 1)]
    probability = learned(sampled([exogenous, exogenous, *common], 1000, seed=2))
    assert min(probability[2, 0], probability[2, 1], probability[3, 1], probability[3, 2]) > 0.9
    assert probability[3, 0] < 0.4


def test_dependence_of_the_spread_alone_is_seen() -> None:
    data = sampled([exogenous, lambda a, c, v: np.exp(0.4 * a[:, 0]) * (c + 0.5 * v)], 800, seed=3)
    assert learned(data)[1, 0] > 0.9


@pytest.mark.parametrize(
    "second",
    [
        lambda a, c, v: c * np.exp(v),
        lambda a, c, v: np.round(2 * c) / 2,
        lambda a, c, v: np.maximum(c + v, 0.0),
        lambda a, c, v: (c > 0.5).astype(float),
        lambda a, c, v: c / np.maximum(np.abs(v), 0.05),
    ],
    ids=["skewed", "rounded", "zeros", "binary", "heavy tails"],
)
def test_independent_actions_have_no_edge(second) -> None:
    values = [learned(sampled([exogenous, second], 300, seed)) for seed in range(15)]
    probabilities = np.array([[p[1, 0], p[0, 1]] for p in values])
    # Even prior odds of adjacency; without dependence the evidence is mostly against it.
    assert np.median(probabilities) < 0.1
    assert (probabilities > 0.5).mean() <= 0.1


def test_levels_and_atoms() -> None:
    functions = [lambda a, c, v: 1.0 * (c > 0), lambda a, c, v: (c + 0.8 * a[:, 0] - 0.4).clip(0)]
    settings = [
        lambda masks, rng: 1.0 * (rng.random(len(masks)) < 0.5),
        lambda masks, rng: rng.normal(size=len(masks)).clip(0),
    ]
    probability = learned(sampled(functions, 800, 4, settings=settings))
    assert probability[1, 0] > 0.95
    assert probability[0, 1] < 0.1


def test_unordered_levels() -> None:
    rng, masks = np.random.default_rng(5), one_at_a_time(2, 300)
    letter = rng.choice(["x", "y", "z", "w"], size=900)
    # The middle level in the alphabet moves the other action.
    dose = rng.normal(size=900) + np.where(masks[:, 1], 0.0, 1.2 * (letter == "y"))
    actions = np.column_stack([letter.astype(object), dose.astype(object)])
    data = bi.RegimeData.from_arrays(actions, dose + rng.normal(size=900), masks)
    probability = learned(data)
    assert probability[1, 0] > 0.95
    assert probability[0, 1] < 0.2


def test_a_shared_observed_cause_of_a_setting_is_no_edge() -> None:
    """The setting of red, and green, both depend on age."""
    masks = one_at_a_time(2, 500)

    def probability_of_edge(seed: int, known: bool) -> float:
        rng = np.random.default_rng(seed)
        age = rng.normal(size=1500)
        actions = np.stack([0.8 * age, 0.8 * age], axis=1) + rng.normal(size=(1500, 2))
        actions[:, 1] = np.where(masks[:, 1], rng.normal(size=1500), actions[:, 1])
        outcome = actions.sum(axis=1) + age + rng.normal(size=1500)
        covariates = {"age": age} if known else None
        data = bi.RegimeData.from_arrays(actions, outcome, masks, covariates=covariates)
        return float(learned(data)[1, 0])

    assert np.median([probability_of_edge(seed, known=True) for seed in range(7)]) < 0.2
    # Negative control: age is hidden.
    assert probability_of_edge(0, known=False) > 0.9


def test_given_edges_stay_and_exclude_their_reverse() -> None:
    data = sampled([exogenous] * 3, 300, seed=7)
    probability = learned(data, {"a2": ("a1",), "a1": None, "a3": None})
    assert probability[1].tolist() == [1, 0, 0]
    assert probability[0, 1] == 0
    assert 0 < probability[0, 2] < 0.3
    assert learned(data, {"a2": ("a1",)}).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    # Nor may descendants that are known by two steps move an action.
    assert not learned(data, {"a2": ("a1",), "a3": ("a2",), "a1": None})[0].any()


def test_units_and_the_order_of_rows_do_not_matter() -> None:
    data = sampled([exogenous, lambda a, c, v: 0.15 * a[:, 0] + c + 0.5 * v], 400, seed=9)
    order = np.random.default_rng(0).permutation(len(data))
    moved = replace(data, actions=data.actions * [1000.0, -1e-3] + [5.0, 2.0]).take(order)
    assert learned(moved) == pytest.approx(learned(data), abs=1e-3)


def test_rows_of_one_patient_are_no_independent_evidence() -> None:
    """Each patient has one setting of red, and a level of green in ten visits."""
    patient = np.repeat(np.arange(200), 10)
    masks = np.repeat([[True, False], [False, True]], 1000, axis=0)

    def probability_of_edge(seed: int, groups: dict | None) -> float:
        rng = np.random.default_rng(seed)
        actions = rng.normal(size=(200, 2))[patient]
        actions[:, 1] += 0.3 * rng.normal(size=len(actions))
        outcome = actions.sum(axis=1) + rng.normal(size=len(actions))
        options = {"groups": groups, "require_observational": False}
        return float(learned(bi.RegimeData.from_arrays(actions, outcome, masks, **options))[1, 0])

    def share_of_edges(groups: dict | None) -> float:
        return np.mean([probability_of_edge(seed, groups) > 0.5 for seed in range(20)])

    assert share_of_edges({"patient": patient.astype(str)}) <= 0.15
    # Negative control: visits taken for independent rows.
    assert share_of_edges(None) > 0.5


def tables(few: bi.RegimeData, number: int | np.ndarray, sd: float | None) -> bi.RegimeData:
    """The rows as means of several units, with the sd of the outcome among them if it is known."""
    sds = None if sd is None else np.full(len(few), sd)
    columns = {"weights": np.full(len(few), number, dtype=float), "outcome_sd": sds}
    return bi.RegimeData.from_arrays(few.actions, few.outcome, few.intervened, **columns)


def coarse(rows: int, seed: int) -> bi.RegimeData:
    """Cells: each combination of rounded actions once."""
    fine = sampled([exogenous, lambda a, c, v: 0.2 * a[:, 0] + c + 0.5 * v], rows, seed)
    actions = (2 * fine.actions).round() / 2
    first = np.unique(np.column_stack([fine.intervened, actions]), axis=0, return_index=True)[1]
    return replace(fine, actions=actions).take(first)


def test_cells_count_as_many_rows() -> None:
    """Equal rows, and one cell with their number, have the same graph and control variables."""
    few = coarse(120, seed=3)
    number = np.random.default_rng(0).geometric(0.2, size=len(few))
    each = few.take(np.arange(len(few)).repeat(number)), tables(few, number, 0.3)
    expected, of_cells = map(learned, each)
    np.testing.assert_allclose(of_cells, expected, atol=0.02)
    model = replace(MODEL, graph={"a2": ["a1"]})
    terms = [with_observed_causes(own, model, model.decompose(own), ())[0] for own in each]
    np.testing.assert_allclose(*(own.design(few) for own in terms), atol=0.02)
    # Negative control: the same rows once.
    assert np.abs(learned(few) - expected).max() > 0.1


def test_rows_whose_units_moved_together_count_once() -> None:
    """Regions with many customers, whose actions were set for all of them."""
    fine = sampled([exogenous, lambda a, c, v: 0.15 * a[:, 0] + c + 0.5 * v], 120, seed=3)
    cells = coarse(120, seed=3)
    repeated = cells.take(np.r_[0, np.arange(len(cells))])
    for few, sd in ((fine, None), (fine, 0.3), (cells, None), (repeated, 0.3)):
        np.testing.assert_allclose(learned(tables(few, 50, sd)), learned(few), atol=1e-9)
    # Negative control: cells count as many rows.
    assert np.abs(learned(tables(cells, 50, 0.3)) - learned(cells)).max() > 0.1
