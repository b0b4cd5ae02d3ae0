import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.distance import NEAR
from bayes_intgen.identification.overlap import ReferenceRows

NAMES = ("x", "y")


def two_actions(rows: int, seed: int, levels: bool = False) -> bi.RegimeData:
    """y follows x closely unless it is set; each is set at random, x possibly to integers."""
    rng = np.random.default_rng(seed)
    masks = np.repeat([[False, False], [True, False], [False, True]], rows, axis=0)
    x = rng.normal(size=len(masks))
    y = np.where(masks[:, 1], rng.normal(size=len(masks)), x + 0.1 * rng.normal(size=len(masks)))
    if levels:
        x = np.where(masks[:, 0], rng.integers(-2, 3, size=len(masks)), x)
    return bi.RegimeData.from_arrays(np.stack([x, y], axis=1), x + y + rng.normal(size=len(x)),
                                     masks, NAMES)  # fmt: skip


def test_rows_like_those_of_a_regime_are_near_it() -> None:
    data, new = two_actions(400, seed=0), two_actions(4000, seed=1)
    observed = new.actions[~new.intervened.any(axis=1)]
    assert data.support(observed, []).supported.mean() > 0.98
    # Negative control: without interventions y follows x.
    set_rows = new.actions[new.intervened[:, 1]]
    apart = set_rows[np.abs(set_rows[:, 0] - set_rows[:, 1]) > 1.5]
    assert not data.support(apart, []).supported.any()
    assert data.support(apart, ["y"]).supported.mean() > 0.9


def test_steps_of_many_doses_and_from_zeros_are_distances() -> None:
    rng, names = np.random.default_rng(0), [f"drug {k}" for k in range(8)]
    masks = np.repeat(np.concatenate([np.zeros((1, 8)), np.eye(8)]) > 0, 200, axis=0)
    doses = rng.integers(0, 4, masks.shape)
    amounts = np.where(doses == 0, 0.0, rng.uniform(2, 6, doses.shape))
    for values in (doses, amounts, np.where(np.arange(8) < 3, doses, amounts)):
        frame = pd.DataFrame(values, columns=names).assign(y=rng.normal(size=len(doses)))
        frame["regime"] = [names[mask.argmax()] if mask.any() else "" for mask in masks]
        assert bi.read(frame, names, "y").support(values[:50]).supported.mean() > 0.8


def test_named_levels_of_many_actions_are_near_where_few_of_them_differ() -> None:
    rng, names = np.random.default_rng(0), [f"region {k}" for k in range(8)]
    masks = np.repeat(np.concatenate([np.zeros((1, 8)), np.eye(8)]) > 0, 200, axis=0)
    alike = rng.integers(0, 3, (len(masks), 1)) * np.ones(8, dtype=int)
    alike = np.where(masks, rng.integers(0, 3, masks.shape), alike)
    # One experiment visits all levels of the others, but not together.
    avoided = np.where(masks[:, [0]], (alike + np.arange(8)) % 3, alike)
    values = {"any": rng.integers(0, 3, masks.shape), "alike": alike, "avoided": avoided}
    shares = {}
    for name, codes in values.items():
        frame = pd.DataFrame(codes, columns=names).map("level {}".format)
        frame["regime"] = [names[mask.argmax()] if mask.any() else "" for mask in masks]
        data = bi.read(frame.assign(y=rng.normal(size=len(codes))), names, "y")
        shares[name] = float(data.support(frame[names].iloc[:50]).supported.mean())
    assert shares["any"] > 0.9
    assert shares["alike"] == 1
    assert shares["avoided"] == 0


def test_a_level_that_was_never_set_is_not_supported_by_a_regression() -> None:
    """Rows with other levels of the same action may be near jointly."""
    rng, names = np.random.default_rng(0), [f"region {k}" for k in range(8)]
    is_set = np.arange(1000) % 2 > 0
    codes = rng.integers(0, 3, (1000, 8))
    codes[is_set, 0] %= 2
    frame = pd.DataFrame(codes, columns=names).map("level {}".format)
    points = frame[names].iloc[:50].assign(**{names[0]: "level 2"})
    frame["regime"] = np.where(is_set, "+".join(names), "")
    data = bi.read(frame.assign(y=rng.normal(size=1000)), names, "y")
    model = bi.models.saturated()
    fit = bi.fit(data, model, method="laplace", draws=20, progress=False)
    assert not fit.support(points).supported.any()
    assert fit.support(points.assign(**{names[0]: "level 1"})).supported.mean() > 0.9


def test_set_actions_need_their_value_and_observed_actions_their_parents_too() -> None:
    data = two_actions(500, seed=0)
    points = [[1.0, 1.0], [1.0, -1.0]]
    assert data.support(points).supported.to_numpy().tolist() == [True, True]
    # Rows have x = 1 with y = -1 if y was set; otherwise y is about 1.
    met = {tuple(s): data.support(points, s).needs_met for s in ([], ["x"], ["y"])}
    for actions in ([], ["x"]):
        assert met[tuple(actions)].sel(action="y").to_numpy().tolist() == [True, False]
    assert met["y",].to_numpy().tolist() == [[True, True], [True, True]]
    # A graph in which y is not a parent of x requires less.
    known = data.support(points, [], graph={"y": ["x"]})
    assert known.needs_met.sel(action="x").to_numpy().tolist() == [True, True]
    assert known.supported.to_numpy().tolist() == [True, False]
    # Without rows in which y was set, its contribution is unsupported. Its bias may depend on x and
    # cannot be separated from the contribution of x, unless x has no children in the graph.
    fewer = data.only([], ["x"])
    assert fewer.support(points).needs_met.to_numpy().tolist() == [[False, False]] * 2
    unmoved = fewer.support(points, graph={"x": ["y"]})
    assert unmoved.needs_met.to_numpy().tolist() == [[True, False]] * 2


def test_support_does_not_depend_on_units() -> None:
    data = two_actions(300, seed=2)
    data = replace(data, actions=np.where([True, False], data.actions.round(), data.actions))
    points = np.random.default_rng(3).normal(size=(50, 2)) * 1.5
    factor, shift = np.array([1e9, -1e-6]), np.array([5.0, 0.1])
    other = replace(data, actions=data.actions * factor + shift)
    for actions in ([], ["x"], ["x", "y"]):
        one, same = data.support(points, actions), other.support(points * factor + shift, actions)
        np.testing.assert_allclose(one.joint_distance, same.joint_distance, atol=1e-6)
        xr.testing.assert_equal(one.needs_met.drop_vars("value"), same.needs_met.drop_vars("value"))


def test_distances_equal_those_of_a_direct_computation() -> None:
    data = two_actions(200, seed=4)
    points = np.array([[0.3, -0.2], [4.0, 0.0]])
    scaled = [Coordinate.of(column) for column in data.actions.T]
    placed = [np.stack([c.transform(v) for c, v in zip(scaled, a.T, strict=True)], axis=1)
              for a in (data.actions, points)]  # fmt: skip
    own = placed[0][(data.intervened == [True, False]).all(axis=1)]
    support = data.support(points).sel(regime="do(x)")
    alone = np.sort(np.abs(placed[1][:, None, 0] - own[None, :, 0]), axis=1)[:, 0]
    jointly = np.sort(np.linalg.norm(placed[1][:, None] - own[None], axis=2), axis=1)[:, 0]
    np.testing.assert_allclose(support.distance.sel(action="x"), alone)
    np.testing.assert_allclose(support.joint_distance.sel(action="x"), jointly)
    # The second point lies outside the range of x.
    assert support.supported.to_numpy().tolist() == [True, False]


def test_gaps_between_close_settings_are_supported() -> None:
    data = two_actions(400, seed=5, levels=True)
    spread = Coordinate.of(data.actions[:, 0]).spread
    between = [[0.9 * NEAR * spread, 0.0], [0.5, 0.0], [1.0, 0.0]]
    assert data.support(between).supported.to_numpy().tolist() == [True, False, True]


def beyond_history(seed: int, edges: bool = True, common: bool = False) -> bi.RegimeData:
    """x affects y; experiments set both to about 4, beyond the observed values.

    With ``common`` the observed values include those of the experiments.
    """
    rng, rows = np.random.default_rng(seed), 400
    masks = np.repeat([[False, False], [True, False], [False, True]], rows, axis=0)
    cause, noise = rng.normal(size=(2, len(masks), 2))
    x = np.where(masks[:, 0], rng.normal(4, 0.5, len(masks)), (4 if common else 1) * cause[:, 0])
    y = 0.9 * edges * x + 0.8 * cause[:, 1] + 0.6 * noise[:, 1] * (4 if common else 1)
    y = np.where(masks[:, 1], rng.normal(4, 0.5, len(masks)), y)
    outcome = np.tanh(x) + y / 2 + cause.sum(axis=1) + 0.4 * noise[:, 0]
    return bi.RegimeData.from_arrays(np.stack([x, y], axis=1), outcome, masks, NAMES)


def test_experiments_beyond_observed_values_are_supported_only_without_edges() -> None:
    point = [[4.0, 4.0]]
    for seed in range(3):
        beyond = beyond_history(seed)
        assert not beyond.support(point).supported.item()
        # With the true graph, the bias of y at x = 4 occurs only in rows in which x was set.
        assert not beyond.support(point, graph={"y": ["x"]}).supported.item()
        # Negative control: closeness holds.
        reference = beyond.reference_rows()
        assert reference.verdict(np.array(point), (True, True), [[1], [0]]).close.all()
        alone = beyond_history(seed, edges=False)
        assert alone.support(point, graph={}).supported.item()
        assert not alone.support(point).supported.item()
        assert beyond_history(seed, common=True).support(point).supported.item()


def test_experiment_at_one_value_supports_that_value_only() -> None:
    data = two_actions(400, seed=6)
    fixed = replace(data, actions=np.where(data.intervened & [True, False], 1.0, data.actions))
    support = fixed.support([[1.0, 0.5], [0.0, 0.5], [-1.0, 0.5]])
    assert support.supported.to_numpy().tolist() == [True, False, False]
    assert support.needs_met.sel(action="y").to_numpy().tolist() == [True, True, True]
    assert str(fixed.identify(["x", "y"])).endswith("; at x = 1 only.")
    assert "only" not in str(data.identify(["x", "y"]))


def test_warning_names_unsupported_values_with_reasons(posterior) -> None:
    points = np.array([[0.0, 0.0], [2.8, 0.0], [99.0, 0.0]])
    effect, outcome, contraction = posterior.joint_effect, posterior.outcome, posterior.contraction
    for ask in (effect, outcome, contraction, lambda at: posterior.sensitivity(at, 0.1)):
        with pytest.warns(bi.SupportWarning) as caught:
            ask(points)
        (message,) = [str(warning.message) for warning in caught]
        assert message.startswith("2 of 3 points are not supported by the data")
        assert "'red' = 99 is outside its range, \N{MINUS SIGN}2.655 to 2.803" in message
        assert "too few regimes reach 'red' = 2.8" in message
        assert "green" not in message
        assert caught[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        posterior.joint_effect(points[:1])
        posterior.plot_joint_effect("red")
    plt.close("all")


def test_results_and_saved_fits_carry_support(data, posterior, tmp_path) -> None:
    points = np.array([[0.0, 0.0], [2.8, 0.0], [1.5, -1.8]])
    for actions in (["red", "green"], ["red"], []):
        expected = data.support(points, actions).supported
        np.testing.assert_array_equal(posterior.support(points, actions).supported, expected)
        for ask in (posterior.effect, posterior.outcome):
            with pytest.warns(bi.SupportWarning, match="of 3 points are not supported"):
                answer = ask(points, actions)
            np.testing.assert_array_equal(answer["supported"], expected)
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        joint, observed = posterior.joint_effect(points), posterior.effect(points, [])
    assert joint["supported"].to_numpy().tolist() == [True, False, True]
    assert not observed["supported"].to_numpy()[2]
    posterior.save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    xr.testing.assert_identical(again.support(points), posterior.support(points))


def test_plot_of_the_effect_shades_unsupported_values(posterior) -> None:
    ax = posterior.plot_joint_effect("red", at={"green": 0.0}, size=41)
    along = ax.lines[0].get_xdata()
    supported = posterior.support(np.column_stack([along, np.zeros(41)])).supported
    shaded = np.zeros(41, dtype=bool)
    for patch in ax.patches:
        left, right = patch.get_x(), patch.get_x() + patch.get_width()
        shaded |= (along >= left) & (along <= right)
    np.testing.assert_array_equal(shaded, ~supported.to_numpy())
    assert shaded.any()
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert labels.count("outside the rows") == 1
    plt.close("all")


def test_plot_of_support_shows_quantiles_per_regime(data) -> None:
    figure = data.plot_support([[0.5, 0.2]])
    red = figure.axes[0]
    values = data.actions[(data.intervened == [True, False]).all(axis=1), 0]
    ends = [line.get_xdata() for line in red.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(e, np.quantile(values, [0.005, 0.995])) for e in ends)
    assert [text.get_text() for text in red.get_yticklabels()][1] == "do(red)  (300)"
    assert any(np.allclose(e, 0.5) for e in ends)
    # A long tail is plotted on the scale of the model.
    tailed = bi.simulators.Linear.random(2, seed=1).dataset(400, seed=1)
    assert {ax.get_xscale() for ax in tailed.plot_support().axes} == {"function"}
    plt.close("all")


def test_unordered_levels_are_infinitely_far_from_each_other() -> None:
    rng = np.random.default_rng(0)
    masks = np.repeat([[False], [True]], 60, axis=0)
    shop = np.where(masks[:, 0], rng.choice(["a", "b"], 120), rng.choice(["a", "b", "c"], 120))
    outcome = rng.normal(size=120)
    for ordered in (False, True):
        kind = pd.CategoricalDtype(["a", "b", "c"], ordered=ordered)
        frame = pd.DataFrame({"shop": pd.Series(shop, dtype=kind), "y": outcome})
        frame["regime"] = np.where(masks[:, 0], "shop", "")
        data = bi.RegimeData.from_frame(frame, ["shop"], "y", "regime")
        support = data.support({"shop": ["a", "b", "c"]})
        distance = support["distance"].sel(regime="do(shop)", action="shop").to_numpy()
        assert distance[:2].tolist() == [0, 0]
        assert np.isinf(distance[2]) != ordered
        assert support["supported"].to_numpy().tolist() == [True, True, False]
        assert (support["distance"].sel(regime="observational") == 0).all()
        assert support["value"].to_numpy()[:, 0].tolist() == ["a", "b", "c"]


def test_levels_that_are_close_numbers_are_apart_together_with_another_action() -> None:
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False]], 100, axis=0)
    actions = np.stack([0.1 * intervened[:, 0], rng.normal(size=200)], axis=1)
    levels = (Categories.of_numbers([0.0, 0.1]), None)
    reference = ReferenceRows.of(("dose", "age"), actions, intervened, levels)
    points = np.array([[0.0, 0.0], [0.1, 0.0]])
    assert reference.covers(points, (0,)).tolist() == [[True, False], [False, True]]
    assert reference.covers(points, (0, 1)).tolist() == [[True, False], [False, True]]
