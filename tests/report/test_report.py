"""The report, read by a parser and used in a real browser."""

import base64
import json
import re
import warnings
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _pages import move_sliders, open_page, unpacked

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.monomials import LinearBasis
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.inference.pilot.lack_of_fit import FitTest, fit_tests_dataset
from bayes_intgen.posterior.draws import prediction_of, support_of
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.posterior.surfaces import interaction_sd, interaction_surface
from bayes_intgen.report.content import content_of
from bayes_intgen.report.explorer import MAX_DRAWS, explorer_data, round_grid, thinned
from bayes_intgen.report.heat_map import draw_heat_map
from bayes_intgen.report.page import page_of
from bayes_intgen.report.pairs import factors_of

from _posteriors import (
    data_with_groups,
    frame_with_groups,
    half_supported,
    made_up,
    made_up_in_a_band,
    made_up_with_groups,
    made_up_with_levels,
    made_up_with_pairs,
    with_log_link,
)
from conftest import confounded_rows

HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "検索連動型広告の支出額を千円単位で",
    "إعلانات وسائل التواصل الاجتماعي",
    "a \"quoted\" & 'odd' <name> {{ 7 * 7 }}",
    *(f"a rather long name of action number {k}" for k in range(7, 13)),
)


class Page(HTMLParser):
    """Elements, text and the data of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data) -> None:
        self.text += data


def test_page_is_self_contained(posterior) -> None:
    page = Page(page_of(posterior))
    links = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org)", page_of(posterior))


@pytest.mark.parametrize(
    ("regimes", "sentences"),
    [
        (None, ["Identified.", "No check was run", "1 problem: see"]),
        (2, ["Not identified.", "Not checked in this report"]),
    ],
)
def test_page_states_identification_and_problems(regimes, sentences) -> None:
    posterior = made_up(["one", "two"], regimes=regimes, draws=20)
    text = Page(page_of(posterior)).text
    for words in sentences:
        assert words in text
    for words in ("Effect of each action", "R-hat", "graph over the actions", "bayes-intgen"):
        assert words in text


@pytest.fixture(scope="module")
def posterior_and_check() -> tuple[bi.Posterior, bi.Check]:
    """A posterior whose names are markup, and the check of its data."""
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], 40, axis=0)
    data = bi.RegimeData.from_arrays(
        rng.normal(size=(120, 2)), rng.normal(size=120), intervened, ["<b>tv</b>", "radio"]
    )
    posterior = made_up(data.names, outcome=data.outcome_name, data=data, draws=4)
    return posterior, bi.check(data, bi.models.additive("linear"), held_out=0, progress=False)


@pytest.mark.parametrize(
    ("p", "verdict"), [(1e-6, "The data contradict them"), (0.5, "No sign of a violation")]
)
def test_page_has_the_verdict_of_the_check(posterior_and_check, p, verdict) -> None:
    posterior, check = posterior_and_check
    table = check.table.assign(p_familywise=("test", np.full(check.table.sizes["test"], p)))
    check = bi.Check(table, check.held_out, check.level)
    text = Page(page_of(posterior.with_check(check))).text
    assert f"Assumptions. {verdict}: see" in text
    assert str(check) in text
    assert ("<b>tv</b>" in str(check)) == check.violated


def test_names_are_escaped() -> None:
    posterior = made_up(HOSTILE, outcome="</title><script>1</script>", draws=4)
    page = Page(page_of(posterior))
    plain = Page(page_of(made_up(["x"] + [f"y{k}" for k in range(11)], draws=4)))
    for tag in ("script", "img", "title", "name"):
        assert page.tags.count(tag) == plain.tags.count(tag)
    for name in HOSTILE[:2]:
        assert page.text.count(name) >= 4


def test_regression_has_no_report(posterior) -> None:
    pooled = made_up(["a", "b"], model=bi.models.pooled("linear"), draws=4)
    with pytest.raises(bi.ModelError, match="no mechanisms to report"):
        page_of(pooled)
    with pytest.raises(bi.PointsError, match="level must lie"):
        page_of(posterior, level=90)


@pytest.mark.parametrize(("low", "high"), [(0.013, 1.02), (-3e8, 5e8), (1e-9, 7e-9), (5, 543)])
def test_sliders_have_round_values_within_the_range(low, high) -> None:
    grid = round_grid(low, high)
    assert 100 <= len(grid) <= 251
    assert low <= grid[0]
    assert grid[-1] <= high
    step = grid[1] - grid[0]
    np.testing.assert_allclose(np.diff(grid), step, rtol=1e-6)
    assert float(f"{step:.6e}"[:8]) in (1, 2, 5)
    assert max(grid[0] - low, high - grid[-1]) < step


def test_data_of_the_page_reproduce_the_draws(posterior) -> None:
    page = json.loads(json.dumps(explorer_data(posterior)))
    total = unpacked(page["level_of_draws"])
    point = []
    for action in page["actions"]:
        step = action["start"] + 3
        values = unpacked(action["values"])
        functions = unpacked(action["functions"]).reshape(len(values), -1)
        coefficients = unpacked(action["coefficients"]).reshape(page["draws"], -1)
        total = total + coefficients @ functions[step]
        point.append(values[step])
    expected = posterior.joint_effect([point]).to_numpy().ravel()
    # Sums of a few numbers of order one, which may cancel.
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-14)


def test_sliders_of_levels_stop_at_the_levels() -> None:
    posterior = made_up_with_levels()
    page = Page(page_of(posterior))
    for name in ("placebo", "small", "large"):
        assert name in page.text
    steps = [unpacked(action["values"]).tolist() for action in explorer_data(posterior)["actions"]]
    assert steps[:4] == [[0, 1, 2], [0, 1, 2], [0, 1], [0, 1]]
    assert len(steps[4]) > 50
    for action in explorer_data(posterior)["actions"][:4]:
        assert not unpacked(action["reasons"]).any()
    labels = [action.get("labels") for action in explorer_data(posterior)["actions"]]
    assert labels[:3] == [["a", "b", "placebo"], ["small", "medium", "large"], ["False", "True"]]
    assert labels[3:] == [["0", "1"], None]


def test_lack_of_fit_is_in_the_banner_and_in_a_sentence() -> None:
    posterior = made_up(["one", "two"], draws=20)
    assert "does not follow" not in Page(page_of(posterior)).text
    tree = posterior.tree.copy()
    tests = fit_tests_dataset([FitTest(1, "unconfounded", 1e-6)], posterior.actions)
    tree["constant_data"] = tree["constant_data"].to_dataset().drop_dims("fit_test").merge(tests)
    text = Page(page_of(bi.Posterior(tree))).text
    assert "does not follow the rows" in text
    assert "contribution of 'two'" in text


def test_banner_states_the_supported_share() -> None:
    for posterior, sentences, tone in (
        (made_up_with_levels(), "100% of the joint points", "good"),
        (made_up(["one", "two"], regimes=2, draws=20), "None of the joint points", "bad"),
    ):
        assert f'<li class="{tone}"><b>Support:</b> {sentences}' in page_of(posterior)


def test_changes_and_charts_use_supported_levels() -> None:
    posterior = half_supported()
    content = content_of(posterior, 0.9)
    assert [(c.start, c.end) for c in content.contrasts[:3]] == [
        ("off", "on"),
        ("a", "b"),
        ("3.00", "14.00"),
    ]
    assert all(contrast.supported for contrast in content.contrasts)
    assert [tick.label for tick in content.actions[1].joint.x_ticks] == ["a", "b", "c"]
    # The third level is hatched, the others are not; a level has no line through it.
    ((left, right),) = content.actions[1].joint.beyond
    assert left < content.actions[1].joint.x_ticks[2].at < right
    kinds = [mark.kind for mark in content.actions[1].joint.marks]
    assert kinds == ["outcome", "set-range", "set-inner", "set-dot"]
    assert "set" in [mark.kind for mark in content.actions[2].joint.marks]
    data = explorer_data(posterior)
    channel = data["actions"][1]
    reasons = [data["reasons"][int(i)] for i in unpacked(channel["reasons"])]
    assert reasons == ["", "", "no experiment sets this level"]
    spend = data["actions"][2]
    reasons = [data["reasons"][int(i)] for i in unpacked(spend["reasons"])]
    assert {"between the values of its experiments", "outside the range of its experiments"} <= {
        *reasons
    }
    assert all(unpacked(a["reasons"])[a["start"]] == 0 for a in data["actions"])
    # Negative control: without the experiment on promo nothing is supported, and the page says so.
    fewer = content_of(half_supported(("", "channel", "spend")), 0.9)
    assert not any(contrast.supported for contrast in fewer.contrasts)
    assert "not supported" in Page(page_of(half_supported(("", "channel", "spend")))).text


def test_explorer_names_levels(browser, tmp_path) -> None:
    page = open_page(browser, half_supported(), tmp_path / "report.html")
    move_sliders(page, [1, 2])
    outputs = [page.find_element("css selector", f"output[for=action-{k}]").text for k in (0, 1)]
    assert outputs == ["on", "c"]
    assert page.find_element("id", "action-1").get_attribute("max") == "2"
    assert page.find_element("id", "action-1").get_attribute("aria-valuetext") == "c"
    assert "channel (no experiment sets this level)" in page.find_element("id", "beyond").text
    ticks = page.find_elements("css selector", "#profile text.x:not(.label)")
    assert [tick.text for tick in ticks] == ["a", "b", "c"]
    assert page.find_elements("css selector", "#profile .set-dot")
    assert not page.find_elements("css selector", "#profile .set")
    assert page.get_log("browser") == []


GIVEN = ({}, {"given": {"age": 60, "region": bi.NEW_GROUP}}, {"given": {"patient": bi.NEW_GROUP}})


def test_page_states_the_population_and_shows_covariates_and_groups() -> None:
    posterior = made_up_with_groups()
    content = content_of(posterior, 0.9)
    assert [chart.caption for chart in content.adjustment.functions] == ["age", "season"]
    assert [chart.covariate for chart in content.adjustment.effects] == ["age"]
    assert content.adjustment.effects[0].caption.startswith("tv from ")
    tables = content.adjustment.groups
    assert [table.title.split(" from ")[0] for table in tables] == [
        "Level of each region",
        "Effect of tv",
    ]
    assert {row.label for row in tables[0].rows} == {f"region {i}" for i in range(5)}
    text = Page(page_of(posterior)).text
    words = "average over 120 observational rows, for an average patient"
    assert text.count(f"Population: {words}") == 3
    for sentence in (
        "patient, 80 groups: sd of their levels about",
        "sales along age",
        "given the covariates and groups",
        "the actions do not change the covariates or groups",
    ):
        assert sentence in text
    at = Page(page_of(posterior, given={"age": 60})).text
    assert at.count(f"Population: at age = 60; otherwise {words}") == 3


def test_page_without_covariates_does_not_mention_them(posterior) -> None:
    text = Page(page_of(posterior)).text
    assert "Population" not in text
    assert "Covariates" not in text


def test_page_counts_groups_under_one_mask() -> None:
    frame = frame_with_groups()
    data = data_with_groups(
        frame.assign(region=frame["region"] + frame["regime"]), groups=["region"]
    )
    posterior = made_up(data.names, outcome="sales", data=data, draws=4)
    text = Page(page_of(posterior)).text
    assert "15 of 15 groups of 'region' occur under one mask only" in text
    assert "relative to an average group" in text


@pytest.mark.parametrize("over", GIVEN)
def test_data_of_the_page_reproduce_effects_in_a_population(over) -> None:
    """Average and unit, from the functions in the page."""
    posterior = made_up_with_groups()
    averages = support_of(posterior).standardisation(**over)
    page = explorer_data(posterior, averages)
    mean, unit, point = unpacked(page["level_of_draws"]), unpacked(page["unit_levels"]), []
    for action in page["actions"]:
        step, values = action["start"] + 3, unpacked(action["values"])
        for total, prefix in ((mean, ""), (unit, "unit_")):
            functions = unpacked(action[f"{prefix}functions"]).reshape(len(values), -1)
            coefficients = unpacked(action[f"{prefix}coefficients"]).reshape(page["draws"], -1)
            total += coefficients @ functions[step]
        point.append(values[step])
    prediction, mask = thinned(prediction_of(posterior, averages)), np.ones((1, 2), dtype=bool)
    expected = posterior.joint_effect([point], **over).to_numpy().ravel()
    np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-14)
    of_unit = prediction.of_unit(np.array([point]), mask).ravel()
    np.testing.assert_allclose(mean + unit, of_unit, rtol=1e-12, atol=1e-13)
    assert np.abs(unit).max() > 0.01


def test_page_shows_interactions() -> None:
    posterior = made_up_with_pairs()
    shown = content_of(posterior, 0.8).interactions
    rows = np.concatenate(support_of(posterior).reference.rows)
    # Regimes have as many rows as reference rows here.
    psi = posterior.mechanisms(rows).interaction
    sd = psi.std("point")
    of_mean = psi.mean(("chain", "draw")).std("point")
    order = np.argsort(-of_mean.to_numpy())
    assert len(order) == 2
    assert [[p.first, p.second] for p in shown.pairs] == [
        [str(psi[name].to_numpy()[i]) for name in ("first", "second")] for i in order
    ]
    for pair, i in zip(shown.pairs, order, strict=True):
        own = sd.isel(pair=i)
        low, high = own.quantile([0.1, 0.9]).to_numpy()
        for text, number in zip(
            [pair.sd, *pair.band.split(" to ")], [float(own.mean()), low, high], strict=True
        ):
            assert float(text) == pytest.approx(number, abs=0.051 * (high - low) + 0.0005)
        share = float(own.mean()) / posterior.terms.unit
        assert float(pair.share.strip("%")) == pytest.approx(100 * share, abs=0.051)
    text = Page(page_of(posterior)).text
    assert "Interactions" in text
    assert "except for the interactions in the fit" in text
    assert "Effects add up" not in text
    held = [action.held.split(" = ")[0] for action in content_of(posterior, 0.8).actions]
    assert held == ["radio", "tv", "radio"]
    assert text.count("on which it depends") == 3


def test_heat_map_has_the_colours_of_the_surface() -> None:
    posterior = made_up_with_pairs()
    surface = interaction_surface(posterior, "tv", "radio", posterior.default_point, size=9)
    for name in ("mean", "half_width"):
        image = draw_heat_map(surface, name).image.partition("base64,")[2]
        pixels = plt.imread(BytesIO(base64.b64decode(image)))
        values = surface[name].to_numpy()
        reach = np.abs(values[surface.supported.to_numpy()]).max()
        # The top row of the picture is the largest value of the second action.
        expected = np.minimum(np.abs(values.T[::-1]) / reach, 1)
        np.testing.assert_allclose(pixels[..., 3], expected, atol=0.003)
        is_red = pixels[..., 0] > pixels[..., 2]
        if name == "mean":
            np.testing.assert_array_equal(is_red, values.T[::-1] > 0)
            assert 0 < is_red.mean() < 1
    # Unsupported cells are covered.
    assert draw_heat_map(surface, "mean").beyond
    everywhere = surface.assign(supported=surface.supported | True)
    assert not draw_heat_map(everywhere, "mean").beyond


def test_page_without_interactions_does_not_mention_them(posterior) -> None:
    page = page_of(posterior)
    assert 'id="interactions-title"' not in page
    assert "Effects add up" in Page(page).text
    assert "on which it depends" not in page


def test_page_shows_the_strongest_interactions_only() -> None:
    names = ["a", "b", "c", "d", "e"]
    model = bi.models.additive("linear", graph={}, interactions=list(combinations(names, 2))[:8])
    posterior = made_up(names, draws=10, model=model)
    page = Page(page_of(posterior))
    assert page.tags.count("image") == 12
    assert "2 weaker interactions are in the fit" in page.text
    sizes = interaction_sd(posterior).sd_of_mean.to_numpy()
    shown = content_of(posterior, 0.9).interactions
    assert len(shown.names) == 8
    strongest = posterior.terms.interactions
    at = list(strongest)[int(sizes.argmax())]
    assert shown.names[0] == f"{names[at[0]]} and {names[at[1]]}"


def test_many_draws_are_thinned() -> None:
    posterior = made_up(["a"], draws=MAX_DRAWS)
    few = thinned(prediction_of(posterior))
    assert few.sd.shape == (1, MAX_DRAWS)
    few_draws, all_ = (
        few.coefficients[0],
        prediction_of(posterior).coefficients.reshape(2 * MAX_DRAWS, -1),
    )
    np.testing.assert_array_equal(few_draws[[0, -1]], all_[[0, -1]])
    assert f"evenly spaced among {2 * MAX_DRAWS:,}" in page_of(posterior)


# ---- in a browser ----


@pytest.fixture(scope="module")
def interacting() -> bi.Posterior:
    return made_up_in_a_band()


def readout(browser) -> dict[str, list[float]]:
    """Numbers of the explorer with all digits."""
    texts = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.readout [data-of]')].map("
        "(c) => [c.parentElement.id + ' ' + c.dataset.of, c.dataset.value]))"
    )
    texts["above"] = browser.execute_script("return document.getElementById('above').dataset.value")
    return {name: [float(number) for number in text.split()] for name, text in texts.items()}


def assert_agrees(browser, posterior, steps, base, level=0.9, **over) -> None:
    grids = [unpacked(action["values"]) for action in explorer_data(posterior)["actions"]]
    point, start = ([[g[s] for g, s in zip(grids, at, strict=True)]] for at in (steps, base))
    with warnings.catch_warnings():
        # The ends of sliders may be unsupported.
        warnings.simplefilter("ignore", bi.SupportWarning)
        table = effect_table(posterior, point, baseline=start, level=level, **over)
    values = readout(browser)
    for place, names in (
        ("effect mean", ["mean"]),
        ("effect band", ["low", "high"]),
        ("outcome band", ["outcome_low", "outcome_high"]),
        ("change mean", ["change"]),
        ("change band", ["change_low", "change_high"]),
        ("above", ["above_zero"]),
    ):
        expected = [table[name].item() for name in names]
        size = abs(table["outcome_high"].item() - table["outcome_low"].item())
        np.testing.assert_allclose(values[place], expected, rtol=0, atol=1e-9 * size)


@pytest.mark.parametrize("kind", ["fitted", "five", "student_t", "tiny", "pairs", "products"])
def test_explorer_agrees_with_python(browser, tmp_path, kind) -> None:
    # In some fits no law has the shape of the noise extrapolated to the ends of sliders, and the
    # nearest one depends on rounding.
    posterior = bi.fit(confounded_rows(300, seed=2), method="laplace", progress=False)
    fit = {
        "fitted": lambda: posterior,
        "five": lambda: made_up(["tv", "radio", "search", "social", "print"], draws=100),
        "student_t": lambda: made_up(["dose"], noise="student_t"),
        "tiny": lambda: made_up(["a", "b"], unit=1e-9),
        "pairs": lambda: made_up_with_pairs(draws=100),
        "products": lambda: with_log_link(posterior),
    }[kind]()
    page = open_page(browser, fit, tmp_path / "report.html")
    data = explorer_data(fit)["actions"]
    base = [action["start"] for action in data]
    last = [len(unpacked(action["values"])) - 1 for action in data]
    assert_agrees(page, fit, base, base)
    before = readout(page)
    picture = page.execute_script("return document.getElementById('profile').innerHTML")
    rng = np.random.default_rng(0)
    for steps in ([0] * len(base), last, *(rng.integers(0, last) for _ in range(3))):
        move_sliders(page, steps)
        assert_agrees(page, fit, steps, base)
    assert readout(page) != before
    assert page.execute_script("return document.getElementById('profile').innerHTML") != picture
    # A new baseline, other bands, and back to the medians.
    page.find_element("id", "rebase").click()
    page.execute_script(
        "const s = document.getElementById('level'); s.value = '0.5';"
        "s.dispatchEvent(new Event('change'));"
    )
    page.find_element("id", "reset").click()
    assert_agrees(page, fit, base, steps, level=0.5)
    # The text is the computed number to its digits.
    text = page.find_element("css selector", "#effect [data-of=mean]").text
    if kind != "tiny":
        decimals = len(text.partition(".")[2])
        number = float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
        assert number == pytest.approx(readout(page)["effect mean"][0], abs=0.51 * 10**-decimals)
    assert page.get_log("browser") == []


@pytest.mark.parametrize("over", GIVEN)
def test_explorer_of_a_population_agrees_with_python(browser, tmp_path, over) -> None:
    fit = made_up_with_groups()
    page = open_page(browser, fit, tmp_path / "report.html", **over)
    base = [action["start"] for action in explorer_data(fit)["actions"]]
    assert_agrees(page, fit, base, base, **over)
    steps = [base[0] + 20, base[1] - 15]
    move_sliders(page, steps)
    assert_agrees(page, fit, steps, base, **over)
    assert page.get_log("browser") == []


@pytest.mark.parametrize("over", [{}, {"given": {"age": 60, "region": bi.NEW_GROUP}}])
def test_explorer_of_products_in_a_population_agrees_with_python(browser, tmp_path, over) -> None:
    pairs = [("tv", "promo")]
    model = bi.models.additive("linear", groups={"region": ["level"]}, interactions=pairs)
    data = data_with_groups()
    fit = with_log_link(made_up(data.names, outcome="sales", data=data, model=model))
    page = open_page(browser, fit, tmp_path / "report.html", **over)
    base = [action["start"] for action in explorer_data(fit)["actions"]]
    steps = [base[0] + 20, base[1] - 15]
    move_sliders(page, steps)
    assert_agrees(page, fit, steps, base, **over)
    assert page.get_log("browser") == []


def test_page_of_products_whose_effects_differ_between_units_has_no_explorer() -> None:
    page = page_of(with_log_link(made_up_with_groups()))
    assert 'id="planner"' not in page
    assert "<script" not in page
    assert "The contribution of each action to log sales" in page
    assert "Effects multiply" in page
    other = page_of(made_up_with_groups())
    assert 'id="planner"' in other
    assert "log sales" not in other


@pytest.mark.parametrize("kind", ["binary", "count"])
def test_explorer_of_zeros_and_ones_and_of_counts_agrees_with_python(
    browser, tmp_path, kind
) -> None:
    fit = made_up(["tv", "radio"], unit=0.005 if kind == "binary" else 1.0, draws=60)
    fit.tree.attrs["outcome_kind"] = kind
    fit = bi.Posterior(fit.tree)
    page = open_page(browser, fit, tmp_path / "report.html")
    grids = [unpacked(action["values"]) for action in explorer_data(fit)["actions"]]
    for steps in ([30, 50], [0, 0]):
        move_sliders(page, steps)
        point = [[g[s] for g, s in zip(grids, steps, strict=True)]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.SupportWarning)
            table = effect_table(fit, point)
        names = ["probability"] if kind == "binary" else ["outcome_low", "outcome_high"]
        expected = [table[name].item() for name in names]
        np.testing.assert_allclose(readout(page)["outcome band"], expected, rtol=1e-12)
    lines = "return document.querySelectorAll('#profile .outcome').length"
    assert page.execute_script(lines) == (0 if kind == "binary" else 2)
    text = page.find_element("tag name", "body").text
    assert ("probability of a 1" in text) == (kind == "binary")
    assert ("of outcomes" in text) == (kind == "count")
    assert page.get_log("browser") == []


def test_explorer_moves_a_pair_as_python_does(browser, tmp_path) -> None:
    """The curve along one action, too, depends on where the other is held."""
    fit = made_up_with_pairs()
    page = open_page(browser, fit, tmp_path / "report.html")
    base = [action["start"] for action in explorer_data(fit)["actions"]]
    curve = "return document.querySelector('#profile .set').getAttribute('d')"
    shapes = []
    for step in (0, 40):
        move_sliders(page, [base[0], step, base[2]])
        assert_agrees(page, fit, [base[0], step, base[2]], base)
        # Along the first action; a curve moved up by a constant would have the same shape.
        page.execute_script(
            "const s = document.getElementById('along'); s.value = '0';"
            "s.dispatchEvent(new Event('change'));"
        )
        heights = [float(y) for y in re.findall(r" (-?[\d.]+)", page.execute_script(curve))]
        shapes.append(np.diff(heights))
    assert np.abs(shapes[0] - shapes[1]).max() > 1
    assert page.get_log("browser") == []


def test_page_names_combinations_that_no_regimes_reach(browser, interacting, tmp_path) -> None:
    """Where either value is supported beside the default point, but not both together."""
    page = explorer_data(interacting)
    (pair,) = page["pairs"]
    grids = [unpacked(action["values"]) for action in page["actions"]]
    own = [unpacked(action["reasons"]) == 0 for action in page["actions"]]
    places = [unpacked(pair[name]).astype(int) for name in ("rows", "columns")]
    unreached = unpacked(pair["unreached"]).reshape(places[0].max() + 1, -1) > 0
    assert 0 < unreached.mean() < 0.5
    at = []
    for i, j in np.argwhere(unreached):
        # The step that a place stands for is in the middle of those nearest to it.
        mine = [np.flatnonzero(place == p) for place, p in zip(places, (i, j), strict=True)]
        at.append([steps_of[len(steps_of) // 2] for steps_of in mine])
    points = np.array([[grids[0][a], grids[1][b]] for a, b in at])
    assert all(own[0][a] and own[1][b] for a, b in at)
    # No row is near any of them, in units of the actions' spread.
    rows = np.concatenate(support_of(interacting).reference.rows)
    gaps = np.linalg.norm(points[:, None] - rows, axis=2).min(axis=1)
    assert (gaps > 0.2).mean() > 0.9
    browser = open_page(browser, interacting, tmp_path / "report.html")
    note = browser.find_element("id", "beyond")
    assert not note.is_displayed()
    browser.find_element("id", "action-0").send_keys("\ue014")
    stretches = (
        "return [...document.querySelectorAll('#profile .beyond')].reduce("
        "(sum, e) => sum + Number(e.getAttribute('width')), 0)"
    )
    hatched = [browser.execute_script(stretches)]
    move_sliders(browser, at[0])
    assert "no regimes reach this combination of one and two" in note.text
    hatched.append(browser.execute_script(stretches))
    assert hatched[1] > hatched[0]


def test_factors_of_rotated_functions_are_those_of_the_basis() -> None:
    rng = np.random.default_rng(0)
    at = Coordinate.of(np.arange(10.0))
    line, bent = LinearBasis(at, 1.0), HSGPBasis(at, 1.5, (0.0, 0.1, 0.2, 0.3))
    products = TensorProductBasis((line, bent), 4)
    rotated = KarhunenLoeveBasis(products, rng.normal(size=(products.size, 2)))
    coefficients, first, second = rng.normal(size=(7, 2)), rng.normal(size=5), rng.normal(size=3)
    for basis, own in ((rotated, coefficients), (products, rng.normal(size=(7, products.size)))):
        out = factors_of(basis, own, first, second)
        for i, a in enumerate(first):
            points = np.column_stack([np.full(3, a), second])
            values = out.coefficients @ (out.first[i] * out.second).T
            np.testing.assert_allclose(values, own @ basis.matrix(points).T, rtol=1e-12)


def test_sliders_are_supported_where_the_joint_effect_is(posterior) -> None:
    actions = explorer_data(posterior)["actions"]
    middle = posterior.default_point
    for k, action in enumerate(actions):
        points = np.tile(middle, (len(unpacked(action["values"])), 1))
        points[:, k] = unpacked(action["values"])
        is_supported = unpacked(action["reasons"]) == 0
        np.testing.assert_array_equal(is_supported, posterior.support(points).supported)
        assert 0 < is_supported.mean() < 1
    # Without experiments on the second action no point is supported.
    fewer = made_up(["one", "two"], regimes=2)
    for action in explorer_data(fewer)["actions"]:
        assert unpacked(action["reasons"]).all()


def test_keyboard_moves_a_slider(browser, posterior, tmp_path) -> None:
    page = open_page(browser, posterior, tmp_path / "report.html")
    slider = page.find_element("id", "action-1")
    assert page.find_element("css selector", "label[for=action-1]").text == "green"
    step = int(slider.get_attribute("value"))
    slider.send_keys("\ue014")  # the right arrow
    assert int(slider.get_attribute("value")) == step + 1
    base = [action["start"] for action in explorer_data(posterior)["actions"]]
    assert_agrees(page, posterior, [base[0], step + 1], base)
    assert slider.get_attribute("aria-valuetext") == page.find_element("css selector",
        "output[for=action-1]").text  # fmt: skip
    assert page.find_element("id", "along").get_property("value") == "1"


def test_explorer_states_missing_experiments(browser, tmp_path) -> None:
    missing = (
        "Not supported, so the answer rests on the model and its prior: one (no regimes reach "
        "it together with the other values); two (never set in an experiment)."
    )
    hatched = []
    for regimes, sentences in ((3, ""), (2, missing)):
        posterior = made_up(["one", "two"], regimes=regimes)
        page = open_page(browser, posterior, tmp_path / "report.html")
        note = page.find_element("id", "beyond")
        assert (note.is_displayed(), note.text) == (bool(sentences), sentences)
        page.find_element("id", "action-1").send_keys("\ue014")
        stretches = page.find_elements("css selector", "#profile .beyond")
        hatched.append(sum(float(stretch.get_attribute("width")) for stretch in stretches))
    # With all experiments the ends of the range are hatched, without one the whole range.
    assert hatched[0] < 0.7 * hatched[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("names", [("tv",), HOSTILE])
def test_page_fits_the_width_of_a_phone(browser, tmp_path, scheme, names) -> None:
    pairs = [(names[0], names[2]), (names[3], names[2])] if len(names) > 3 else []
    posterior = made_up(
        names,
        outcome="<b>Umsatz</b> je Filiale und Woche (T€)",
        draws=10,
        unit=1e-9,
        model=bi.models.additive(graph={}, interactions=pairs),
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page = open_page(browser, posterior, tmp_path / "report.html", width=360)
    assert page.execute_script("return document.documentElement.scrollWidth") == 360
    wide = page.execute_script(
        "return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.hidden') && "
        "e.getBoundingClientRect().right > 360.5).map((e) => e.outerHTML.slice(0, 200))"
    )
    assert wide == []
    assert page.title == "Joint effect on <b>Umsatz</b> je Filiale und Woche (T€)"
    labels = [e.text for e in page.find_elements("css selector", ".slider label[for]")]
    assert labels == list(names)
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 27)"
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": light, "dark": dark}[scheme]
    assert page.get_log("browser") == []


def test_policy_allows_no_other_script_and_style(browser, posterior, tmp_path) -> None:
    """The hashes fit, so the explorer works; a script that is slipped in does not run."""
    path = tmp_path / "report.html"
    page = open_page(browser, posterior, path)
    assert page.get_log("browser") == []
    text = path.read_text()
    assert "'unsafe-inline'" not in text.replace("style-src-attr 'unsafe-inline'", "")
    foreign = "<script>document.title = 'owned'</script><style>h1 { color: red }</style></body>"
    path.write_text(text.replace("</body>", foreign))
    browser.get(path.as_uri())
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert len([line for line in refused if "Content Security Policy" in line]) == 2
    assert browser.title.startswith("Joint effect")
