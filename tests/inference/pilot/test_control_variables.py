"""Control variables: regressions of actions on observed causes, and the biases that they carry."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _rows import covered, fitted, moments, one_at_a_time
from numpy.typing import NDArray
from scipy.stats import norm

import bayes_intgen as bi
from bayes_intgen.basis.control import ControlBasis, ControlError, ResidualBasis
from bayes_intgen.simulators import Ordered

NAMES = ["tv", "radio"]
GROUPS, ROWS = 16, 400


def panel(
    seed: int, pull: float = 1.5, kind: str = "numbers", rows: int = ROWS
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """History of all regions and experiments in some; regions move all actions and the outcome.

    Also joint points, with the effect averaged over the regions in the last column.
    """
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(size=GROUPS), np.array([1.0, -0.7])

    def draw(regime: str, regions: NDArray[np.int_]) -> pd.DataFrame:
        causes = rng.normal(size=(len(regions), 2))
        latent = causes + pull * level[regions][:, None] + 0.6 * rng.normal(size=causes.shape)
        for k, name in enumerate(NAMES):
            if regime in (name, "all"):
                latent[:, k] = 1.5 * rng.normal(size=len(regions))
        actions = np.maximum(latent, 0) if kind == "zeros" else latent
        actions = (latent > 0).astype(float) if kind == "levels" else actions
        noise = 0.4 * rng.normal(size=len(regions))
        outcome = level[regions] + actions @ slope + causes.sum(axis=1) + noise
        columns = {"y": outcome, "region": regions.astype(str), "regime": regime}
        return pd.DataFrame(actions, columns=NAMES).assign(**columns)

    parts = [draw("", rng.integers(0, GROUPS, rows))]
    for k, name in enumerate(NAMES):
        parts.append(draw(name, rng.choice(np.arange(GROUPS)[k::3], rows)))
    points = draw("all", rng.integers(0, GROUPS, 50))[NAMES].to_numpy()
    return pd.concat(parts), np.column_stack([points, level.mean() + points @ slope])


def read(frame: pd.DataFrame) -> bi.RegimeData:
    return bi.RegimeData.from_frame(frame, NAMES, "y", "regime", groups=["region"])


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
@pytest.mark.parametrize(("kind", "most"), [("numbers", 0.1), ("levels", 0.2), ("zeros", 0.1)])
def test_regions_that_move_all_actions_leave_little_error(kind: str, most: float) -> None:
    errors, inside = [], []
    for seed in range(3):
        frame, points = panel(seed, kind=kind)
        regions = pd.DataFrame({"region": frame["region"].unique()})
        effect = fitted(read(frame)).joint_effect(points[:, :2], population=regions)
        errors.append(np.std(moments(effect)[0] - points[:, 2]) / points[:, 2].std())
        inside.append(covered(effect, points[:, 2]).mean())
    # Functions of the action and of each cause by itself have 0.16, 0.33 and 0.11.
    assert np.mean(errors) < most
    assert np.mean(inside) > 0.7


@pytest.mark.parametrize(("rows", "action", "cause"), [(20, "tv", "x"), (60, "radio", "region")])
def test_few_rows_keep_the_causes_with_the_most_evidence(rows, action, cause) -> None:
    frame, _ = panel(0, rows=rows)
    noise = np.random.default_rng(1).normal(size=len(frame))
    x = frame["tv"].where(frame["regime"] != "tv", 0.0) + 0.3 * noise
    columns = {"covariates": ["x"], "groups": ["region"]}
    fit = fitted(bi.RegimeData.from_frame(frame.assign(x=x), NAMES, "y", "regime", **columns))
    every = [own for own in fit.terms.terms if isinstance(own.component.basis, ControlBasis)]
    inputs = {i for own in every if own.action == NAMES.index(action) for i in own.inputs}
    assert {[*NAMES, "x", "region"][i] for i in inputs} == {action, cause}


def two_years(seed: int) -> tuple[bi.RegimeData, NDArray[np.float64]]:
    """Numbered weeks with a yearly season in actions and outcome, and the slopes of the actions."""
    rng = np.random.default_rng(seed)
    mask = one_at_a_time(2, [1000, 100, 100])
    week, slope = rng.integers(0, 104, len(mask)), rng.normal(size=2)
    season, swing, seasonal = np.sin(2 * np.pi * week / 52), rng.uniform(0.5, 1), rng.normal(size=2)
    causes = rng.normal(size=mask.shape)
    observed = np.outer(season, seasonal) + causes + 0.7 * rng.normal(size=mask.shape)
    actions = np.where(mask, rng.normal(size=mask.shape), observed)
    outcome = actions @ slope + swing * season + causes.sum(axis=1) + rng.normal(size=len(mask))
    weeks = {"week": week}
    return bi.RegimeData.from_arrays(actions, outcome, mask, NAMES, covariates=weeks), slope


def test_a_season_that_moves_actions_is_not_taken_for_their_effects() -> None:
    """Smooth functions of a number do not follow two cycles, by themselves."""
    z = []
    for seed in range(10, 16):
        data, slope = two_years(seed)
        mean, sd = moments(fitted(data).contrast(np.eye(2), np.zeros((1, 2))))
        z.append((mean - slope) / sd)
    # Shrunken functions of the week alone leave 4.6, with finer ones or without.
    assert np.sqrt(np.mean(np.square(z))) < 1.7


def test_a_bias_depends_on_causes_through_the_control_variable_alone() -> None:
    # Without evidence for any cause it is a function of the action.
    for pull in (1.5, 0.0):
        names = {term.name for term in fitted(read(panel(0, pull)[0])).terms.terms}
        assert ("delta(tv) control error" in names) == bool(pull)


def test_biases_of_named_levels_depend_on_likely_parents() -> None:
    errors, labels = [], np.array(["low", "middle", "high"], dtype=object)
    for seed in (1, 5, 8, 9):
        world = Ordered.random(4, seed)
        rows, points = world.dataset(1000, seed), world.dataset(25, seed).actions.astype(int)
        named = labels[rows.actions.astype(int)]
        data = bi.RegimeData.from_arrays(named, rows.outcome, rows.intervened, rows.names)
        truth = world.joint_effect(points)
        posterior = fitted(data, simplify=seed > 5)
        mean, _ = moments(posterior.joint_effect(labels[points]))
        errors.append(np.std(mean - truth) / truth.std())
        for term in posterior.terms.terms:
            if isinstance(term.component.basis, ResidualBasis):
                inputs = data.actions[~data.intervened[:, term.action]][:, list(term.inputs)]
                means = pd.DataFrame(term.component.basis.matrix(inputs)).groupby(inputs[:, 1])
                np.testing.assert_allclose(means.mean(), 0, atol=0.02)
    # Functions that are not less their means leave 0.18, and 0.35 if parents need evidence.
    assert np.mean(errors) < 0.16


def test_levels_of_regions_are_no_more_certain_than_what_is_usual_there() -> None:
    """Errors of the first stage move the level of a region and the biases in it together."""
    z = []
    for seed in range(4):
        frame, points = panel(seed, rows=200)
        posterior, level = fitted(read(frame)), np.random.default_rng(seed).normal(size=GROUPS)
        given = [{"region": str(region)} for region in range(GROUPS)]
        draws = [posterior.joint_effect(points[:1, :2], given=own).to_numpy() for own in given]
        error = np.reshape(draws, (GROUPS, -1)) - level[:, None]
        error -= error.mean(axis=0)
        z.append(error.mean(axis=1) / error.std(axis=1))
    # Without their part in levels 1.6, in biases 1.7, and with parts of opposite signs 1.5.
    assert np.sqrt(np.mean(np.square(z))) < 1.35


def test_effect_of_one_action_averages_the_control_variable_over_the_population() -> None:
    """Two routes: the average over regions is the mean of the effects in each region."""
    frame, points = panel(1)
    posterior, some = fitted(read(frame)), points[:5, :2]
    regions = pd.DataFrame({"region": frame["region"].unique()})
    together = posterior.effect(some, ["tv"], population=regions)
    each = [posterior.effect(some, ["tv"], given={"region": own}) for own in regions["region"]]
    expected = np.mean([moments(own)[0] for own in each], axis=0)
    np.testing.assert_allclose(moments(together)[0], expected, rtol=1e-8)


def test_the_control_variable_of_zeros_is_what_moves_an_action_beside_its_causes() -> None:
    """Also in regions with many zeros, in which the mean of an action says little of the cause."""
    frame, _ = panel(4, pull=2.0, kind="zeros")
    data = read(frame)
    level = 2 * np.random.default_rng(4).normal(size=GROUPS)[frame["region"].astype(int)]
    terms = fitted(data).terms.terms
    for k, name in enumerate(NAMES):
        term = next(t for t in terms if t.name == f"delta({name}) control error")
        assert isinstance(term.component.basis, ControlError)
        free = ~data.in_memory.intervened[:, k]
        inputs = data.in_memory.inputs[free][:, list(term.inputs)]
        control = term.component.basis.control.matrix(inputs)[:, 0]
        moved = (inputs[:, 0] - level[free]) / np.hypot(1, 0.6)
        # A zero says that it was at most as large as would have led to zero: minus the inverse
        # Mills ratio.
        expected = np.where(inputs[:, 0] > 0, moved, -norm.pdf(moved) / norm.cdf(moved))
        # A regression of mid-ranks leaves 0.29.
        assert np.std(control - expected) < 0.19


def test_a_cause_that_stretches_an_action_leaves_no_bias_of_its_effect() -> None:
    """Squares of a residual of constant scale would pass for an effect of the cause."""
    rng, rows = np.random.default_rng(0), 6000
    intervened = np.eye(2, dtype=bool)[rng.integers(0, 2, rows)] & (rng.random((rows, 1)) < 0.7)
    cause = rng.uniform(-1.7, 1.7, rows)
    tv = rng.normal(size=rows)
    radio = 0.5 * tv + np.exp(0.7 * tv) * cause
    radio = np.where(intervened[:, 1], radio.std() * rng.normal(size=rows), radio)
    outcome = tv - radio + 2 * cause**2 + 0.3 * rng.normal(size=rows)
    data = bi.RegimeData.from_arrays(np.column_stack([tv, radio]), outcome, intervened, names=NAMES)
    posterior = fitted(data, bi.models.additive(graph={"radio": ["tv"]}))
    points = np.column_stack([np.linspace(-1.5, 1.5, 7), np.zeros(7)])
    assert np.std(moments(posterior.joint_effect(points))[0] - points[:, 0]) < 0.04


def test_picture_of_a_bias_names_levels_at_their_values() -> None:
    frame, _ = panel(0, kind="levels")
    frame[NAMES] *= 10
    data = read(frame)
    ax = fitted(data).plot_bias("tv", data)
    assert ax.get_xticks().tolist() == [0.0, 10.0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "10"]
    assert set(np.asarray(ax.collections[0].get_offsets())[:, 0]) == {0.0, 10.0}
    plt.close("all")


# Of the longest table a sample chooses causes, whose rows are weeks apart.
@pytest.mark.parametrize(("decay", "weeks"), [(0.8, 60), (0.0, 60), (0.8, 5000)])
def test_persistent_actions_tell_less_of_what_is_usual(decay: float, weeks: int) -> None:
    """The error of a region's usual action allows for a hidden cause that is high for weeks."""
    rng, shape = np.random.default_rng(5), (12, weeks)
    cause = rng.normal(size=shape)
    for week in range(1, shape[1]):
        cause[:, week] = decay * cause[:, week - 1] + np.sqrt(1 - decay**2) * cause[:, week]
    region, week = np.indices(shape).reshape(2, -1)
    was_set = (region < 6) & (week >= 2 * weeks / 3)
    usual = 2 * rng.normal(size=12)[region] + cause.ravel()
    action = np.where(was_set, 2 * rng.normal(size=len(region)), usual)
    frame = pd.DataFrame({"tv": action, "region": region.astype(str), "week": week}).assign(
        y=action + cause.ravel() + rng.normal(size=len(region)), regime=np.where(was_set, "tv", "")
    )

    def variance_of_usual(**order: str) -> float:
        data = bi.RegimeData.from_frame(frame, ["tv"], "y", "regime", groups=["region"], **order)
        bases = [term.component.basis for term in fitted(data).terms.terms]
        control = next(own.control for own in bases if isinstance(own, ControlBasis))
        return float(np.square(control.root).sum())

    ratio = variance_of_usual(unit="region", time="week") / variance_of_usual()
    # Of many rows (1 + decay) / (1 - decay).
    assert ratio == 1 if decay == 0 else (3 if weeks == 60 else 6) < ratio < 10


def test_steep_effects_on_other_actions_leave_little_error() -> None:
    errors, masks = [], one_at_a_time(2, 2000)
    points = [[-1.0, -1], [0, 0], [1, 1], [1, -1], [-0.5, 0.8], [0.5, 0.5]]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        causes, more, own, noise = rng.normal(size=(4, *masks.shape))
        actions = np.where(masks, 2 * own, 0.7 * causes + 0.4 * more)
        # Beyond a threshold of tv, radio follows.
        actions[:, 1] += ~masks[:, 1] * 1.5 * np.tanh(5 * (actions[:, 0] - 0.5))
        outcome = np.tanh(actions) @ [1.5, 1] + causes @ [0.9, -0.9] + 0.5 * noise[:, 0]
        fit = fitted(bi.RegimeData.from_arrays(actions, outcome, masks, NAMES))
        errors.append(moments(fit.joint_effect(points))[0] - np.tanh(points) @ [1.5, 1])
    assert np.sqrt(np.mean(np.square(errors))) < 0.08
