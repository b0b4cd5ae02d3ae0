"""Values of experiments for fits: limits, responses of other actions, refits, and bad input."""

import numpy as np
import pytest
from _rows import fitted, one_at_a_time

import bayes_intgen as bi
from bayes_intgen._random import generator
from bayes_intgen.decide.planned_rows import planned_rows

from _posteriors import joined, made_up_with_groups, made_up_with_levels
from conftest import confounded_rows

# Beyond these bounds few rows determine the effect, whose posterior is then far from normal.
BOUNDS = {"red": (-1, 1.5), "green": (-1, 1)}
DECISION = bi.Decision(cost={"red": 1.0, "green": 0.5}, budget=0.8, bounds=BOUNDS)
POINTS = {"red": [0.0, 0.5, 1.0], "green": [0.0, 0.5, 1.0]}


@pytest.fixture(scope="module")
def table(posterior):
    return posterior.experiments(DECISION)


@pytest.fixture(scope="module")
def unidentified() -> bi.Posterior:
    """A fit to history and experiments on red: rows never set green."""
    return fit_to([[False, False], [True, False]])


def fit_to(masks: list[list[bool]], rows: int = 100, draws: int = 40, **options) -> bi.Posterior:
    rng, regimes = np.random.default_rng(1), np.repeat(masks, rows, axis=0)
    cause = rng.normal(size=regimes.shape)
    actions = np.where(regimes, 0.0, cause) + rng.normal(size=regimes.shape)
    outcome = actions @ [1.0, -0.5] + cause.sum(axis=1) + rng.normal(size=len(regimes))
    age = rng.uniform(-1, 1, len(regimes)) if "moderators" in options else None
    outcome += 0.0 if age is None else age * actions[:, 0]
    columns = {"names": ["red", "green"], "covariates": {} if age is None else {"age": age}}
    arrays = actions, outcome, regimes
    data = bi.RegimeData.from_arrays(*arrays, **columns, require_observational=False)
    model = bi.models.additive("linear", **options)
    return bi.fit(data, model, method="laplace", draws=draws, progress=False)


def test_default_experiments_are_ranked(posterior, table) -> None:
    every = {"do(red)", "do(green)", "do(red, green)", "observational"}
    assert set(table.experiment.to_numpy()) == every
    assert (table.rows == 300).all()
    assert (table.net_benefit.diff("experiment") <= 0).all()
    plan = posterior.best(DECISION, "mean")
    gain = posterior.contrast(plan.point, plan.baseline)
    width = float(np.ptp(np.quantile(gain, [0.05, 0.95])))
    np.testing.assert_allclose(table.width_before, width)
    assert "narrow the 90% interval" in str(table.explanation[0].item())


def test_more_rows_are_worth_more_up_to_perfect_information(posterior) -> None:
    both = ("red", "green")
    planned = [bi.Experiment(both, rows) for rows in (30, 300, 3_000, 10**8)]
    table = posterior.experiments(DECISION, planned)
    by_rows = table.sortby("rows")
    assert (by_rows.evsi.diff("experiment") > 0).all()
    assert (by_rows.width_after.diff("experiment") < 0).all()
    assert float(by_rows.width_after[-1]) < 0.01 * float(by_rows.width_before[0])
    evpi, last = float(table.evpi), by_rows.isel(experiment=-1)
    # A thousand draws, and the same plans.
    assert float(last.evsi) == pytest.approx(evpi, abs=0.1 * evpi + 3 * float(last.evsi_error))


def test_costs_and_the_horizon_decide_the_order(posterior, table) -> None:
    first = str(table.experiment[0].item())
    planned = [bi.Experiment(("red", "green"), 300, cost=0.9), bi.Experiment("green", 300)]
    assert first == "do(red, green)"
    near = posterior.experiments(DECISION, planned)
    assert str(near.experiment[0].item()) == "do(green)"
    assert "less than their cost of 0.9" in str(near.explanation[1].item())
    far = posterior.experiments(DECISION, planned, horizon=10_000)
    assert str(far.experiment[0].item()) == first
    np.testing.assert_allclose(far.net_benefit, 10_000 * far.evsi - far.cost)


def test_descendants_respond_to_planned_values(posterior) -> None:
    def means(names, at):
        rng = generator(0, "experiments")
        return planned_rows(posterior, names, at, rng).actions.mean(axis=0)

    # Red moves green by half of its change; 30 rows near either value have a deviation of 0.7.
    rise = means(("red",), {"red": [1.0]}) - means(("red",), {"red": [-1.0]})
    np.testing.assert_allclose(rise, [2.0, 1.0], atol=3 * 0.7 * np.sqrt(2 / 30))
    # Negative control: green does not move red.
    rise = means(("green",), {"green": [1.0]}) - means(("green",), {"green": [-1.0]})
    np.testing.assert_allclose(rise, [0.0, 2.0], atol=1e-12)
    planned = planned_rows(posterior, ("red",), {"red": [1.0]}, generator(0, "experiments"))
    assert planned.others == "'green' by response to the actions set"
    own = planned_rows(posterior, ("red",), {}, generator(0, "experiments"))
    assert own.others == "as in the rows of the regime"
    # Green, which no regime leaves free, shows no response.
    always = fit_to([[False, True], [True, True]], graph={"green": ["red"]})
    held = planned_rows(always, ("red",), {"red": [1.0]}, generator(0, "experiments"))
    assert held.others == "'green' as in all rows, since none are observational"


def test_experiments_identify_an_effect_for_the_first_time(unidentified) -> None:
    bounds = {"red": (-1, 1), "green": (-1, 1)}
    decision = bi.Decision(bounds=bounds, baseline={"red": 0.0, "green": 0.0})
    with pytest.warns(bi.SupportWarning):
        table = unidentified.experiments(decision, rows=500).set_index(experiment="experiment")
    assert table.attrs["beyond_support"] == 1
    share = table.width_after / table.width_before
    assert float(share.sel(experiment="do(green)")) < 0.65
    assert float(share.sel(experiment="do(red, green)")) < 0.65
    # Negative control: regimes that do not identify the effect.
    assert float(share.sel(experiment="do(red)")) > 0.8
    assert float(share.sel(experiment="observational")) > 0.9
    others = str(table.others.sel(experiment="do(green)").item())
    assert "'red' as in the observational rows" in others


def test_levels_and_groups_are_planned() -> None:
    levels, drugs = made_up_with_levels(), np.array(["a", "b"])
    planned = [bi.Experiment("drug", 50, at=drugs), bi.Experiment(("drug", "spend"), 50)]
    decision = bi.Decision(bounds={"spend": (1, 5)})
    table = levels.experiments(decision, planned, beyond_support=True)
    assert "do(drug=a|b)" in table.experiment.to_numpy()
    with pytest.raises(bi.PointsError, match="has no level 'c'"):
        levels.experiments(decision, [bi.Experiment("drug", 50, at="c")])
    own = made_up_with_groups().experiments(bi.Decision(), rows=50, beyond_support=True)
    assert "population" in own.attrs


def test_planned_rows_have_covariates_of_their_own() -> None:
    masks, by_age = [[False, False], [True, False], [False, True]], {"red": ["age"]}
    few, many = (fit_to(masks, n, 1_000, moderators=by_age).given(age=0.9) for n in (150, 750))
    table = few.split(1_800, POINTS, regimes=[None, "red", "green"])
    width = np.ptp(np.quantile(many.joint_effect(POINTS), [0.05, 0.95], axis=(0, 1)), axis=0)
    # Widths vary between data sets by about a tenth.
    assert float(table.width_of_equal_split) == pytest.approx(width.mean(), rel=0.2)


def test_planned_rows_have_the_noise_of_their_groups() -> None:
    rng, region, masks = np.random.default_rng(0), np.arange(1_200) % 10, one_at_a_time(2, 400)
    actions = rng.normal(size=masks.shape)
    outcome = actions.sum(axis=1) + np.where(region % 2, 6.0, 0.1) * rng.normal(size=1_200)
    groups = {"groups": {"region": region.astype(str)}}
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ["red", "green"], **groups)
    table = fitted(data, bi.models.additive("linear")).split(1_200, POINTS, regimes=[None, "red"])
    assert float(table.width / table.width_before) == pytest.approx(0.77, abs=0.1)


def test_planned_rows_are_of_units_that_are_not_in_the_data() -> None:
    """Each has a level of its own, which is integrated out if there are many."""
    rng = np.random.default_rng(0)
    unit = np.append(np.arange(600) // 4, np.arange(1_000, 2_200))
    masks = rng.permutation(np.tile(one_at_a_time(2, 1), (600, 1)))
    actions = rng.normal(size=masks.shape)
    outcome = actions.sum(axis=1) + 3 * rng.normal(size=2_200)[unit] + 0.5 * rng.normal(size=1_800)

    def fit(rows: int) -> bi.Posterior:
        groups = {"groups": {"unit": np.char.mod("u%d", unit[:rows])}}
        arrays = actions[:rows], outcome[:rows], masks[:rows], ["red", "green"]
        return fitted(bi.RegimeData.from_arrays(*arrays, **groups), bi.models.additive("linear"))

    planned = fit(600).split(1_200, POINTS, regimes=[None, "red", "green"])
    draws = fit(1_800).joint_effect(POINTS)
    width = np.ptp(np.quantile(draws, [0.05, 0.95], axis=(0, 1)), axis=0).mean()
    assert float(planned.width_of_equal_split) == pytest.approx(width, rel=0.2)


def test_splits_are_of_all_rows_and_better_than_equal_ones(posterior) -> None:
    regimes = [None, "red", "green"]
    table = posterior.split(999, POINTS, regimes=regimes)
    assert int(table.rows.sum()) == 999
    assert list(table.regime.to_numpy()) == ["observational", "do(red)", "do(green)"]
    assert float(table.width) <= float(table.width_of_equal_split) < float(table.width_before)
    assert (table.width_of_total.diff("total") < 0).all()
    assert float(table.width_of_total.sel(total=999)) == pytest.approx(float(table.width))
    # Planned rows of a regime that was run are those of the data; others depend on the seed.
    assert posterior.split(999, POINTS, regimes=regimes, seed=1).identical(table)
    fresh = [posterior.split(999, POINTS, regimes=[("red", "green")], seed=i) for i in (1, 1, 2)]
    assert fresh[0].identical(fresh[1])
    assert not fresh[0].identical(fresh[2])
    dear = posterior.split(999, POINTS, regimes=regimes, costs={"do(red)": 5.0})
    assert float(dear.share.sel(regime="do(red)")) < float(table.share.sel(regime="do(red)"))
    assert float((dear.rows * dear.cost).sum()) == pytest.approx(999, abs=10)
    # With all regimes, joint rows are the most informative for joint effects.
    every = posterior.split(999, DECISION)
    assert every.share.idxmax().item() == "do(red, green)"
    assert every.attrs["target"] == "gains over the baseline"
    # Wide intervals need no rows.
    assert posterior.rows_for(100.0, POINTS) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: bi.Experiment("red", 0), "rows must be a whole number of at least 1"),
        (lambda p: bi.Experiment("red", 10, cost=-1), "cost of an experiment is negative"),
        (lambda p: bi.Experiment("red", 10, cost=float("nan")), "finite number"),
        (lambda p: bi.Experiment(("red", "red"), 10), "'red' occurs twice"),
        (lambda p: bi.Experiment(None, 10, at=3.0), "at must map actions to values"),
        (lambda p: bi.Experiment("red", 10, at={"green": 3.0}), "which the experiment does not"),
        (lambda p: bi.Experiment("red", 10, at=[]), "no values of 'red'"),
        (lambda p: p.experiments(DECISION, [bi.Experiment("rod", 10)]), "did you mean 'red'"),
        (lambda p: p.experiments(DECISION, []), "experiments are empty"),
        (lambda p: p.experiments(DECISION, ["red"]), "bayes_intgen.Experiment"),
        (lambda p: p.experiments(DECISION, [bi.Experiment("red", 9)], rows=9), "or rows"),
        (lambda p: p.experiments(DECISION, horizon=0), "horizon must be positive"),
        (lambda p: p.experiments(DECISION, level=2), "level must lie between 0 and 1"),
        (lambda p: p.experiments("cheap"), "bayes_intgen.Decision"),
        (lambda p: p.split(0, POINTS), "rows must be a whole number"),
        (lambda p: p.split(10, None), "target is missing"),
        (lambda p: p.split(10, np.empty((0, 2))), "target is missing"),
        (lambda p: p.split(10, POINTS, regimes=[]), "regimes are empty"),
        (lambda p: p.split(10, POINTS, regimes=["rod"]), "did you mean 'red'"),
        (lambda p: p.split(10, POINTS, costs={"do(rod)": 1}), "unknown regime 'do"),
        (lambda p: p.split(10, POINTS, costs={"do(red)": 0}), "must be positive"),
        (lambda p: p.rows_for(-1, POINTS), "width must be positive"),
    ],
)
def test_bad_experiments_are_named(posterior, call, message: str) -> None:
    with pytest.raises(bi.BayesIntgenError, match=message):
        call(posterior)


def test_values_outside_the_observed_range_warn(posterior) -> None:
    with pytest.warns(bi.SupportWarning, match="outside its range"):
        posterior.experiments(DECISION, [bi.Experiment("red", 10, at=[0.0, 90.0])])


def test_few_draws_warn(posterior) -> None:
    few = bi.Posterior(posterior.tree.isel(draw=slice(0, 5), chain=slice(0, 2)))
    with pytest.warns(bi.SamplingWarning, match="10 draws give too narrow"):
        few.split(10**6, POINTS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.SamplingWarning")
def test_intervals_after_experiments_have_the_predicted_width(data, posterior) -> None:
    decision = bi.Decision(bounds={"red": (-1, 1), "green": (-1, 1)}, baseline={"red": 0.0})
    plan = posterior.best(decision)
    more = confounded_rows(900, seed=7)
    for names, mask in ((("green",), [False, True]), ((), [False, False])):
        table = posterior.experiments(decision, [bi.Experiment(names or None, 900)])
        together = joined(data, more.take((more.intervened == mask).all(axis=1)))
        again = bi.fit(together, seed=1, draws=250, progress=False)
        gain = again.contrast(plan.point, plan.baseline)
        width = float(np.ptp(np.quantile(gain, [0.05, 0.95])))
        # Widths vary between data sets by about a tenth.
        assert float(table.width_after[0]) == pytest.approx(width, rel=0.3)
