import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.path import Path

import bayes_intgen as bi
from bayes_intgen.cli.commands import draw_panels
from bayes_intgen.plots.bands import name_levels, number_axes

from _posteriors import (
    data_with_levels,
    frame_with_levels,
    half_supported,
    made_up,
    made_up_with_levels,
    made_up_with_pairs,
)


def legend_of(figure) -> list[str]:
    """Texts of the one legend of a figure."""
    (legend,) = figure.legends
    assert all(ax.get_legend() is None for ax in figure.axes)
    return [text.get_text() for text in legend.get_texts()]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_band_has_the_quantiles_of_the_draws(posterior) -> None:
    ax = posterior.plot_joint_effect("red", at={"green": 0.2}, levels=[0.8], size=7)
    along, mean = ax.lines[0].get_data()
    red = posterior.terms.coordinates[0]
    np.testing.assert_allclose(along, np.linspace(red.low, red.high, 7))
    effect = posterior.joint_effect(np.column_stack([along, np.full(7, 0.2)]))
    np.testing.assert_allclose(mean, effect.mean(("chain", "draw")))
    corners = ax.collections[0].get_paths()[0].vertices
    edges = effect.quantile([0.1, 0.9], ("chain", "draw")).to_numpy()
    for x, bottom, top in zip(along, *edges, strict=True):
        heights = corners[np.isclose(corners[:, 0], x), 1]
        assert (heights.min(), heights.max()) == pytest.approx((bottom, top))


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_outcome_lines_are_predictive_quantiles(posterior) -> None:
    ax = posterior.plot_joint_effect("red", at={"green": 0.2}, predictive=0.8, size=5)
    low, high = (line.get_ydata() for line in ax.lines[1:3])
    points = np.column_stack([ax.lines[0].get_xdata(), np.full(5, 0.2)])
    outcome = posterior.outcome(points, seed=5)
    expected = outcome.quantile([0.1, 0.9], ("chain", "draw")).to_numpy()
    # 1,000 draws each: a tenth's quantile is known to sqrt(.1 * .9 / 1000) / .175 = 0.054 sd,
    # a difference of two to 0.077; 10 of them, 4 times that.
    sd = outcome.std(("chain", "draw")).to_numpy()
    assert (np.abs(np.array([low, high]) - expected) < 0.31 * sd).all()
    assert "80% of outcomes" in legend_of(ax.figure)
    with pytest.raises(bi.PointsError, match="between 0 and 1"):
        posterior.plot_joint_effect("red", predictive=1.2)


def test_labels_name_action_outcome_and_fixed_values(posterior) -> None:
    _, mine = plt.subplots()
    ax = posterior.plot_joint_effect("red", at={"green": 0.2}, ax=mine)
    assert ax is mine
    assert ax.get_xlabel() == "red"
    assert ax.get_ylabel() == "mean of intensity, all actions set"
    assert ax.get_title() == "green = 0.2"
    # Other panels of this figure may have the same legend.
    assert ax.get_legend() is None
    assert not ax.figure.legends
    texts = legend_of(posterior.plot_joint_effect("red", at={"green": 0.2}).figure)
    assert texts == ["90% band", "50% band", "posterior mean", "outside the rows"]


def test_pale_stretches_say_why_they_are_not_supported() -> None:
    # Experiments set spend to 3 and 14 only; history has fewer and more than that.
    posterior = half_supported()
    ax = posterior.plot_joint_effect("spend")
    shown = {"between tested levels": [], "outside the rows": []}
    label = ""
    for patch in ax.patches:
        label = label if patch.get_label().startswith("_") else patch.get_label()
        shown[label].append((patch.get_x(), patch.get_x() + patch.get_width()))
        assert bool(patch.get_hatch()) == (label == "outside the rows")
    (between,) = shown["between tested levels"]
    assert 3 < between[0] < between[1] < 14
    assert all(end < 3 or start > 14 for start, end in shown["outside the rows"])
    assert {*shown} < {*legend_of(ax.figure)}
    # A level that is never set does not lie between others.
    (never,) = posterior.plot_joint_effect("channel").patches
    assert never.get_label() == "outside the rows"
    # The same where another action is between its levels, and in the warning.
    point = {"promo": "on", "channel": "a", "spend": 8.0}
    stretch, *_ = posterior.plot_joint_effect("promo", at={"spend": 8.0}).patches
    assert stretch.get_label() == "between tested levels"
    with pytest.warns(bi.SupportWarning, match="interpolate .between tested levels: 'spend' = 8"):
        posterior.joint_effect(point)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "blue"}, "unknown action 'blue'"),
        ({"action": "red", "at": {"blue": 1}}, "unknown action 'blue'"),
        ({"action": "red", "at": {"red": 1}}, "varies along the axis"),
        ({"action": "red", "levels": [90]}, "must lie between 0 and 1"),
    ],
)
def test_invalid_arguments_are_rejected(posterior, arguments, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        posterior.plot_joint_effect(**arguments)
    assert not plt.get_fignums()


def test_levels_are_ticks_and_are_fixed_by_name() -> None:
    posterior = made_up_with_levels()
    ax = posterior.plot_joint_effect("size", at={"drug": "b", "promo": True})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["small", "medium", "large"]
    line = next(line for line in ax.lines if line.get_label() == "posterior mean")
    # A stretch at each level, and nothing between them.
    positions = line.get_xdata()[np.isfinite(line.get_ydata())]
    assert np.abs(positions - np.repeat([0, 1, 2], 2)).max() < 0.5
    point = {"drug": "b", "size": "small", "promo": True, "coin": 0, "spend": 1.0}
    heights = posterior.joint_effect(point | {"size": ["small", "medium", "large"]})
    rise = np.diff(heights.mean(("chain", "draw")))
    np.testing.assert_allclose(np.diff(line.get_ydata()[::3]), rise)
    assert ax.get_title().startswith("drug = b, promo = True, coin = ")
    with pytest.raises(bi.PointsError, match="'drug' has no level 'c'"):
        posterior.plot_joint_effect("size", at={"drug": "c"})
    figure = posterior.plot_contraction(at={"drug": "b"})
    assert [t.get_text() for t in figure.axes[5].get_xticklabels()] == ["a", "b", "placebo"]
    figure = data_with_levels().plot_support(point)
    assert [t.get_text() for t in figure.axes[2].get_xticklabels()] == ["False", "True"]
    figure = posterior.plot_sensitivity(point, [0, 0.1])
    title = figure.axes[0].get_title().replace("\n", " ")
    assert title == "drug = b, size = small, promo = True, coin = 0, spend = 1"


def test_pictures_fix_the_other_actions_at_a_supported_point() -> None:
    posterior = half_supported()
    ax = posterior.plot_joint_effect("promo")
    _, channel, spend = posterior.default_point
    assert ax.get_title() == f"channel = {'abc'[int(channel)]}, spend = {spend:.4g}"
    assert not ax.patches
    figure = posterior.plot_sensitivity(rho=[0, 0.1])
    assert figure.axes[0].get_title().startswith("promo = ")
    # Negative control: at the medians every level is hatched.
    middle = float(posterior.terms.coordinates[2].centre)
    assert posterior.plot_joint_effect("promo", at={"spend": middle}).patches


def test_picture_of_support_has_dots_for_few_settings() -> None:
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(90, 2))
    intervened = np.repeat([[False, False], [True, False], [False, True]], 30, axis=0)
    actions[intervened[:, 0], 0] = rng.choice([-1.0, 1.0], 30)
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=90), intervened, ["one", "two"])
    collections = [own for ax in data.plot_support().axes for own in ax.collections]
    assert [own.get_offsets()[:, 0].tolist() for own in collections] == [[-1, 1]]


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_interaction_has_the_mean_and_the_interval_of_the_draws() -> None:
    posterior = made_up_with_pairs()
    figure = posterior.plot_interaction("radio", "tv", size=5)
    mean, width = (ax.collections[0].get_array().data for ax in figure.axes[:2])
    x, y = (np.linspace(c.low, c.high, 5) for c in (posterior.terms.coordinates[i] for i in (1, 0)))
    points = np.stack([np.tile(posterior.default_point, (5, 1)) for _ in y])
    # Rows of a picture are values of the second action.
    points[..., 1], points[..., 0] = x, y[:, None]
    psi = posterior.mechanisms(points.reshape(-1, 3)).interaction.sel(pair="tv, radio")
    np.testing.assert_allclose(mean.ravel(), psi.mean(("chain", "draw")), atol=1e-12)
    low, high = psi.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    np.testing.assert_allclose(width.ravel(), (high - low) / 2, atol=1e-12)
    assert [ax.get_xlabel() for ax in figure.axes[:2]] == ["radio"] * 2
    assert [ax.get_ylabel() for ax in figure.axes] == ["tv"] * 2 + ["sales"] * 2
    colours = figure.axes[0].collections[0]
    assert colours.norm.vmin == -colours.norm.vmax
    # Colours are scaled to the supported points, and the others are covered.
    is_supported = posterior.support(points.reshape(-1, 3)).supported.to_numpy()
    assert 0 < is_supported.mean() < 1
    assert colours.norm.vmax <= np.abs(mean.ravel()[is_supported]).max() + 1e-12
    assert {*legend_of(figure)} <= {"between tested levels", "outside the rows"}
    covers = [cover.get_path() for cover in figure.axes[0].patches]
    cells = [Path(corners) for cover in covers for corners in cover.to_polygons()]
    for point, is_covered in (((x[0], y[0]), True), (posterior.default_point[[1, 0]], False)):
        assert any(cell.contains_point(point) for cell in cells) == is_covered


def test_interaction_of_levels_has_their_names() -> None:
    data = data_with_levels()
    model = bi.models.additive(interactions=[("drug", "size"), ("drug", "spend")])
    posterior = made_up(data.names, outcome="sales", data=data, model=model)
    figure = posterior.plot_interaction("size", "drug")
    for ax in figure.axes[:2]:
        assert [t.get_text() for t in ax.get_xticklabels()] == ["small", "medium", "large"]
        assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "placebo"]
        assert ax.collections[0].get_array().shape == (3, 3)
    assert posterior.plot_interaction("spend", "drug", size=7).axes[0].get_xlabel() == "spend"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("tv", "blue"), "unknown action 'blue'"),
        (("tv", "tv"), "'tv' is named twice"),
        (("tv", "print"), r"no interaction of 'tv' and 'print'; it has those of .*'radio'"),
    ],
)
def test_pairs_without_interaction_are_rejected(posterior, pair, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        made_up_with_pairs(draws=4).plot_interaction(*pair)
    with pytest.raises(bi.PointsError, match=r"bi.models.additive\(interactions="):
        posterior.plot_interaction("red", "green")
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", ["plot_joint_effect", "plot_contributions", "plot_support"])
def test_numbers_at_axes_are_those_of_texts(draw: str) -> None:
    rng, masks = np.random.default_rng(0), np.array([[False, False], [True, False], [False, True]])
    actions, intervened = rng.gamma(9.0, 3_000.0, (300, 2)), np.repeat(masks, 100, axis=0)
    outcome = 2e6 + 2e5 * rng.normal(size=300)
    data = bi.RegimeData.from_arrays(actions, outcome, intervened, ["tv", "radio"])
    fit = made_up(["tv", "radio"], data=data, unit=2e5)
    figure = {
        "plot_joint_effect": lambda: fit.plot_joint_effect("tv").figure,
        "plot_contributions": lambda: fit.plot_contributions(),
        "plot_support": lambda: data.plot_support(),
    }[draw]()
    figure.canvas.draw()
    axes = [own for ax in figure.axes for own in (ax.xaxis, ax.yaxis)]
    texts = [text.get_text() for axis in axes for text in axis.get_ticklabels()]
    assert any(re.fullmatch(r"[\d,]+,000", text) for text in texts)
    assert not any(re.search(r"\d{4}|\de", text) for text in texts)
    assert not any(axis.get_offset_text().get_text() for axis in axes)


def test_dollar_signs_in_names_are_no_formulas(tmp_path) -> None:
    names = ["tv_$_net_$", "$100 to $200"]
    model = bi.models.additive(interactions=[names])
    posterior = made_up(names, outcome=r"y $\bar$ z", draws=10, model=model)
    frame = frame_with_levels()[["spend", "sales", "regime"]].assign(other=range(160))
    labels = frame["regime"].where(frame["regime"] == "spend", "").replace("spend", names[0])
    frame = frame.assign(regime=labels).set_axis([names[0], "sales", "regime", names[1]], axis=1)
    data = bi.RegimeData.from_frame(frame, names, "sales", "regime")
    figures = [
        posterior.plot_joint_effect(names[0], size=5).figure,
        posterior.plot_contraction(),
        posterior.plot_sensitivity(rho=[0.0, 0.1]),
        posterior.plot_interaction(*names, size=5),
        data.plot_support(),
        draw_panels(posterior, names, dict.fromkeys(names, 0.0), 0.9, False),
    ]
    for figure in figures:
        figure.savefig(tmp_path / "figure.png")
        plt.close(figure)


def test_every_picture_has_one_legend_the_same_bands_and_label() -> None:
    fit, at = half_supported(), {"promo": "on", "channel": "a", "spend": 3.0}
    grid = draw_panels(fit, list(at), at, 0.9, False)
    bands = ["90% band", "50% band", "posterior mean"]
    assert legend_of(grid)[:3] == legend_of(fit.plot_joint_effect("spend").figure)[:3] == bands
    assert legend_of(fit.plot_contraction()) == ["90% of the prior", *bands]
    # Single outcomes do not set the axis unless asked for.
    tall = draw_panels(fit, list(at), at, 0.9, True)
    heights = [np.ptp(figure.axes[0].get_ylim()) for figure in (grid, tall)]
    assert heights[0] < 0.7 * heights[1]
    assert "90% of outcomes" in legend_of(tall)
    label = "mean of sales, all actions set"
    assert grid.axes[0].get_ylabel() == fit.plot_joint_effect("spend").get_ylabel() == label
    assert fit.plot_sensitivity(rho=[0.0, 0.1]).axes[0].get_ylabel() == label


@pytest.mark.parametrize("width", [2.4, 9.0])
def test_ticks_do_not_run_together(width) -> None:
    names = ["San Francisco", "Los Angeles", "Philadelphia", "Jacksonville", "Indianapolis"]
    figure, (left, right) = plt.subplots(2, layout="constrained", figsize=(width, 4))
    name_levels(left, range(5), names)
    right.plot([0.0, 9.7e6], [0.0, 1.0])
    number_axes(right)
    figure.canvas.draw()
    low, high = right.get_xlim()
    for ax in (left, right):
        shown = [text for text in ax.get_xticklabels() if text.get_text()]
        shown = [text for text in shown if ax is left or low <= text.get_position()[0] <= high]
        if shown[0].get_rotation():
            assert width < 9
            continue
        boxes = [text.get_window_extent() for text in shown]
        assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_graph_says_that_nothing_was_learned(data, posterior) -> None:
    assert "moves another" in posterior.plot_graph().get_title()
    given = bi.fit(data, bi.models.additive(graph={}), method="laplace", draws=50, progress=False)
    assert given.plot_graph().get_title() == "The graph was given: no action moves another"
