"""The report, read by a parser and used in a real browser."""

import base64
import re
import warnings
from functools import partial
from io import BytesIO
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _pages import (
    move_sliders,
    open_page,
    plan_of,
    plans_and_notes,
    positions,
    readout,
    stops,
    write_page,
)

import bayes_intgen as bi
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.text.formats import format_number, format_probability, format_to_uncertainty

from _posteriors import (
    asked,
    data_with_groups,
    frame_with_groups,
    half_supported,
    made_up,
    made_up_in_a_band,
    made_up_over_the_range,
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
GIVEN = ({}, {"given": {"age": 60, "region": bi.NEW_GROUP}}, {"given": {"patient": bi.NEW_GROUP}})


@pytest.fixture
def report(tmp_path):
    return partial(write_page, tmp_path / "report.html")


def test_page_is_self_contained(posterior, report) -> None:
    page = report(posterior)
    links = [value for name, value in page.attributes if name in ("src", "href", "action")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org)", page.source)


@pytest.mark.parametrize(
    ("regimes", "sentences"),
    [
        (None, ["Identified.", "No check was run", "No problems.", "Support: "]),
        (2, ["Not identified.", "Not checked in this report", "The rows support no combination"]),
    ],
)
def test_page_states_identification_and_problems(report, regimes, sentences) -> None:
    text = report(made_up(["one", "two"], regimes=regimes, draws=20)).text
    for words in sentences:
        assert words in text
    for words in ("Effect of each action", "Pareto k", "graph over the actions", "bayes-intgen"):
        assert words in text


@pytest.fixture(scope="module")
def posterior_and_check() -> tuple[bi.Posterior, bi.Check]:
    """A posterior whose names are markup, and the check of its data."""
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], 40, axis=0)
    arrays = rng.normal(size=(120, 2)), rng.normal(size=120), intervened
    data = bi.RegimeData.from_arrays(*arrays, ["<b>tv</b>", "radio"])
    posterior = made_up(data.names, outcome=data.outcome_name, data=data, draws=4)
    return posterior, bi.check(data, bi.models.additive("linear"), held_out=0, progress=False)


@pytest.mark.parametrize(
    ("p", "verdict"), [(1e-6, "The data contradict them"), (0.5, "No sign of a violation")]
)
def test_page_has_the_verdict_of_the_check(posterior_and_check, report, p, verdict) -> None:
    posterior, check = posterior_and_check
    table = check.table.assign(p_familywise=("test", np.full(check.table.sizes["test"], p)))
    check = bi.Check(table, check.held_out, check.level)
    text = report(posterior.with_check(check)).text
    assert f"Assumptions. {verdict}: see" in text
    assert str(check) in text
    assert ("<b>tv</b>" in str(check)) == check.violated


def test_names_are_escaped(report) -> None:
    page = report(made_up(HOSTILE[:6], outcome="</title><script>1</script>", draws=4))
    plain = report(made_up(["x"] + [f"y{k}" for k in range(5)], draws=4))
    for tag in ("script", "img", "title", "name"):
        assert page.tags.count(tag) == plain.tags.count(tag)
    for name in HOSTILE[:2]:
        assert page.text.count(name) >= 4


def test_regression_has_no_report(posterior, tmp_path) -> None:
    pooled = made_up(["a", "b"], model=bi.models.pooled("linear"), draws=4)
    with pytest.raises(bi.ModelError, match="no mechanisms to report"):
        pooled.report(tmp_path / "report.html")
    with pytest.raises(bi.PointsError, match="level must lie"):
        posterior.report(tmp_path / "report.html", level=90)
    assert not list(tmp_path.iterdir())


def test_lack_of_fit_is_in_the_banner_and_in_a_sentence(report) -> None:
    rng = np.random.default_rng(0)
    dose, was_set = rng.uniform(-2, 2, (600, 1)), np.tile([[False], [True]], (300, 1))
    outcome = dose[:, 0] ** 2 + 0.1 * rng.normal(size=600)
    data = bi.RegimeData.from_arrays(dose, outcome, was_set, ["dose"])
    with pytest.warns(bi.LackOfFitWarning):
        fit = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    text = report(fit).text
    assert "does not follow the rows" in text
    assert "contribution of 'dose'" in text


def test_changes_and_charts_use_supported_levels(report) -> None:
    page = report(half_supported())
    changes = {row[0]: row[1:3] for row in page.rows if len(row) == 7}
    assert (changes["promo"], changes["channel"]) == (["off", "on"], ["a", "b"])
    assert changes["spend"] == ["3.00", "14.00"]
    # The third level is outside the rows; most values of spend are between tested levels.
    assert {*re.findall(r'<rect class="(\w+)"', page.source)} == {"beyond", "between", "outside"}
    for words in ("between tested levels", "outside the rows"):
        assert words in page.text
    # Negative control: without the experiment on promo nothing is supported, and the page says so.
    assert "not identify the change" not in page.text
    assert "not identify the change" in report(half_supported(("", "channel", "spend"))).text


@pytest.mark.parametrize("level", [0.9, 0.5])
def test_first_page_has_question_answer_and_assumptions(posterior, report, level) -> None:
    page = report(posterior, level=level)
    first = page.text[: page.text.index("Explorer")]
    assert "What happens to intensity when red and green are set together?" in first
    total = next(row for row in page.rows if row[0] == "all of them")
    number, band = (text.replace("-", "\N{MINUS SIGN}") for text in total[3:5])
    assert f"changes the mean of intensity by {number} ({level:.0%} interval {band})" in first
    for words in ("What was assumed", "What could not be tested", "No hidden cause affects two"):
        assert words in first
    assert "no check was run for this report" in first


def test_the_words_of_the_method_are_folded_away(posterior, report) -> None:
    page = report(posterior)
    words = ("collapse", "simplify", "unconfounded", "kernel", "graph over the actions")
    assert "simplify" in page.text
    shown = re.sub(r"<(details|script|style)\b.*?</\1>", "", page.source, flags=re.DOTALL)
    assert not [own for own in words if own in shown]
    # What is wrong is never folded.
    wrong = report(bi.Posterior(posterior.tree.isel(draw=slice(20))))
    assert "1 problem: see" in wrong.text
    assert re.search(r'<details open><summary><h2 id="sampling">', wrong.source)


def test_blind_spots_of_a_check_are_on_the_first_page(posterior_and_check, report) -> None:
    posterior, check = posterior_and_check
    text = report(posterior.with_check(check)).text
    first = text[: text.index("Explorer")]
    assert check.blind_spots
    assert all(line in shown for line in check.blind_spots for shown in (first, str(check)))


def test_axes_have_dates(report) -> None:
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2023-06-01") + pd.to_timedelta(rng.integers(0, 300, 240), "D")
    frame = pd.DataFrame({"tv": rng.normal(size=240), "day": day})
    frame["regime"] = np.tile(["", "tv"], 120)
    frame["y"] = frame["tv"] + (day - day.min()).days / 150 + rng.normal(size=240)
    data = bi.RegimeData.from_frame(frame, ["tv"], "y", "regime", covariates=["day"])
    page = report(bi.fit(data, method="laplace", progress=False))
    ticks = re.findall(r'<text class="x"[^>]*>([^<]*)<', page.source)
    assert {"2023-07", "2024-01"} <= {*ticks}
    # Of the days since 1970.
    assert not [tick for tick in ticks if re.fullmatch(r"19[.,\s]?[5-9]\d\d", tick)]


def test_page_states_the_population_and_shows_covariates_and_groups(report) -> None:
    posterior = made_up_with_groups()
    page = report(posterior)
    words = "average over 120 observational rows, for an average patient"
    assert page.text.count(f"Population: {words}") == 2
    for sentence in (
        "patient, 80 groups: sd of their levels about", "sales along age", "sales along season",
        ", along age", "Level of each region", "Effect of tv from",
        "given the covariates and groups", "The actions do not change the covariates or groups",
    ):  # fmt: skip
        assert sentence in page.text
    assert {f"region {i}" for i in range(5)} <= {row[0] for row in page.rows}
    at = report(posterior.given(age=60)).text
    assert at.count(f"Population: at age = 60; otherwise {words}") == 2


def test_page_mentions_only_what_the_fit_has(posterior, report) -> None:
    page = report(posterior)
    for words in ("Population", "Covariates", "Interactions", "on which it depends"):
        assert words not in page.text
    assert "Effects add up" in page.text


def test_page_names_groups_without_common_regimes(report) -> None:
    frame = frame_with_groups()
    data = data_with_groups(frame.assign(region=frame["region"] + frame["regime"]), ["region"])
    text = report(made_up(data.names, outcome="sales", data=data, draws=4)).text
    assert "No group of 'region' has both history and any experiment" in text
    assert "relative to an average group" in text


def test_page_shows_interactions(report) -> None:
    posterior = made_up_with_pairs()
    page = report(posterior, level=0.8)
    assert "except for the interactions in the fit" in page.text
    assert "Effects add up" not in page.text
    assert page.text.count("on which it depends") == 3
    rows = [row for row in page.rows if " and " in row[0] and len(row) == 4]
    assert len(rows) == 2
    # The map of the first one has the colours of the posterior mean.
    first, second = rows[0][0].split(" and ")
    image = re.findall(r"data:image/png;base64,([^\"]*)", page.source)[0]
    # The top row of the picture is the largest value of the second action.
    pixels = plt.imread(BytesIO(base64.b64decode(image)))[::-1].swapaxes(0, 1)
    count, coordinates = len(pixels), posterior.terms.coordinates
    lows, places = [c.low for c in coordinates], [*map(posterior.actions.index, (first, second))]
    along = (np.linspace(coordinates[k].low, coordinates[k].high, count) for k in places)
    points = np.tile(lows, (count**2, 1))
    points[:, places] = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2)
    psi = posterior.mechanisms(points).interaction.mean(("chain", "draw"))
    pair = ", ".join(sorted((first, second), key=posterior.actions.index))
    mean = psi.sel(pair=pair).to_numpy().reshape(count, count)
    opacity = pixels[..., 3]
    at = np.unravel_index(np.where(opacity < 0.99, opacity, 0).argmax(), opacity.shape)
    expected = np.minimum(np.abs(mean / mean[at]) * opacity[at], 1)
    np.testing.assert_allclose(opacity, expected, atol=0.02)
    np.testing.assert_array_equal(pixels[..., 0] > pixels[..., 2], mean > 0)
    assert 0 < (mean > 0).mean() < 1


def test_page_shows_the_strongest_interactions_only(report) -> None:
    names = ["a", "b", "c", "d", "e"]
    model = bi.models.additive("linear", graph={}, interactions=list(combinations(names, 2))[:8])
    page = report(made_up(names, draws=10, model=model))
    assert page.tags.count("image") == 12
    assert "2 weaker interactions are in the fit" in page.text


def test_many_draws_are_thinned(report) -> None:
    assert "evenly spaced among 4,000" in report(made_up(["a"], draws=2000)).text
    assert "evenly spaced" not in report(made_up(["a"], draws=1000)).text


# ---- in a browser ----


@pytest.fixture
def opened(browser, tmp_path):
    """Open the report of a posterior in a browser, which must have no complaints."""
    yield partial(open_page, browser, path=tmp_path / "report.html")
    assert browser.get_log("browser") == []


def assert_agrees(browser, posterior, baseline, start, level=0.9) -> None:
    """Numbers of the page are those of Python at the stops."""
    plan, values = plan_of(browser), readout(browser)
    # The ends of sliders may be unsupported.
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        table = effect_table(posterior, plan, baseline=baseline, level=level)
        single = effect_table(posterior, plan)
    number = {name: float(column[0]) for name, column in table.items() if column.ndim == 1}
    atol = 1e-6 * (number["high"] - number["low"])
    places = {"effect mean": ["mean"], "effect band": ["low", "high"], "change mean": ["change"]}
    places |= {"change band": ["change_low", "change_high"], "above": ["above_zero"]}
    for place, names in places.items():
        expected = [number[name] for name in names]
        np.testing.assert_allclose(values[place], expected, rtol=0, atol=atol)
    if "outcome band" in values:
        shown = values["outcome band"]
        expected = [single[f"outcome_{end}"][0] for end in ("low", "high")]
        if posterior.model.link == "log":
            shown, expected = np.log(shown), np.log(expected)
        # Variances add up nearly; with one action away from the start nothing is added.
        away = sum(np.array(positions(browser)) != start)
        atol = (1e-6 if away < 2 else 0.03) * float(expected[1] - expected[0])
        if posterior.outcome_kind == "count" and away > 1:
            # The ends from which the page adds up are whole counts, for each action.
            atol = max(atol, float(away))
        np.testing.assert_allclose(shown, expected, rtol=0, atol=atol)


def fits(kind: str) -> bi.Posterior:
    if kind in ("binary", "count"):
        fit = made_up(["tv", "radio"], unit=0.005 if kind == "binary" else 1.0, draws=60)
        fit.tree["fit"].attrs["outcome_kind"] = kind
        return bi.Posterior(fit.tree)
    fitted = bi.fit(confounded_rows(300, seed=2), method="laplace", progress=False)
    return {
        "fitted": lambda: fitted,
        "five": lambda: made_up(["tv", "radio", "search", "social", "print"], draws=100),
        "student_t": lambda: made_up(["dose"], noise="student_t"),
        "tiny": lambda: made_up(["a", "b"], unit=1e-9),
        "pairs": made_up_with_pairs,
        "levels": made_up_with_levels,
        "products": lambda: with_log_link(fitted),
    }[kind]()


@pytest.mark.parametrize(
    "kind",
    ["fitted", "five", "student_t", "tiny", "pairs", "levels", "products", "binary", "count"],
)
def test_explorer_agrees_with_python(opened, kind) -> None:
    fit = fits(kind)
    page = opened(fit)
    start, base = positions(page), plan_of(page)
    assert_agrees(page, fit, base, start)
    last = [len(own) - 1 for own in stops(page)]
    picture = page.execute_script("return document.getElementById('profile').innerHTML")
    several = np.random.default_rng(0).integers(0, last, (3, len(last)))
    for steps in ([0, *start[1:]], [0] * len(last), last, *several):
        move_sliders(page, steps)
        assert_agrees(page, fit, base, start)
    assert page.execute_script("return document.getElementById('profile').innerHTML") != picture
    # A new baseline, other bands, and back to the start.
    page.find_element("id", "rebase").click()
    before = plan_of(page)
    page.find_element("css selector", "#level option[value='0.5']").click()
    page.find_element("id", "reset").click()
    assert_agrees(page, fit, before, start, level=0.5)
    # The text is the computed number to its digits.
    text = page.find_element("css selector", "#effect [data-of=mean]").text
    if kind != "tiny":
        decimals = len(text.partition(".")[2])
        number = float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
        assert number == pytest.approx(readout(page)["effect mean"][0], abs=0.51 * 10**-decimals)
    text = page.find_element("tag name", "body").text
    assert ("a mean may lie outside [0, 1]" in text) == (kind == "binary")


@pytest.mark.parametrize("over", GIVEN)
@pytest.mark.parametrize("products", [False, True])
def test_explorer_of_a_population_agrees_with_python(opened, over, products) -> None:
    if products:
        pairs, data = [("tv", "promo")], data_with_groups()
        model = bi.models.additive("linear", groups={"region": ["level"]}, interactions=pairs)
        fit = with_log_link(made_up(data.names, outcome="sales", data=data, model=model))
    else:
        fit = made_up_with_groups()
    fit = asked(fit, **over)
    page = opened(fit)
    start, base = positions(page), plan_of(page)
    for moved in ([0, 0], [4, 0], [4, -3]):
        move_sliders(page, np.add(start, moved))
        assert_agrees(page, fit, base, start)


def test_page_of_products_whose_effects_differ_between_units_has_no_explorer(report) -> None:
    page = report(with_log_link(made_up_with_groups()))
    assert "script" not in page.tags
    assert "The contribution of each action to log sales" in page.text
    assert "Effects multiply" in page.text
    other = report(made_up_with_groups())
    assert "script" in other.tags
    assert "log sales" not in other.text


@pytest.mark.parametrize("kind", ["apart", "band", "levels", "many"])
def test_page_calls_supported_what_python_does(opened, kind) -> None:
    """Along one action exactly; of combinations only those that the rows support."""
    fit = {
        "apart": lambda: made_up(["a", "b", "c"], draws=4),
        "band": made_up_in_a_band,
        "levels": half_supported,
        "many": lambda: made_up_over_the_range(12),
    }[kind]()
    page = opened(fit)
    start, values = positions(page), stops(page)
    rng = np.random.default_rng(0)
    along = [
        [*start[:k], i, *start[k + 1 :]]
        for k, own in enumerate(values)
        for i in range(0, len(own), 5 if kind == "many" else 1)
    ]
    others = rng.integers(0, [len(own) for own in values], (40, len(values)))
    plans, notes = plans_and_notes(page, [*along, *others])
    reason = re.compile(r"\(([^()]*)\)|(the values of .* together|this combination)")
    found = {one or other for text in notes for one, other in reason.findall(text)}
    supported = fit.support(plans).supported.to_numpy()
    shown, count = np.array([not text for text in notes]), len(along)
    np.testing.assert_array_equal(shown[:count], supported[:count])
    assert 0 < supported[:count].mean() <= 1
    assert supported[count:][shown[count:]].all()
    # Many actions that are moved at once are not more than each by itself.
    assert kind != "many" or shown[count:].mean() > 0.5
    expected = {
        "apart": {"outside the rows of its experiments"},
        "band": {"this combination"},
        "levels": {"no experiment sets this level", "between tested levels"},
        "many": set(),
    }[kind]
    assert expected <= found, found
    assert ("this combination" in found) == (kind == "band")


def test_explorer_names_levels(opened) -> None:
    page = opened(half_supported())
    move_sliders(page, [1, 2])
    outputs = [page.find_element("css selector", f"output[for=action-{k}]").text for k in (0, 1)]
    assert outputs == ["on", "c"]
    assert page.find_element("id", "action-1").get_attribute("max") == "2"
    assert page.find_element("id", "action-1").get_attribute("aria-valuetext") == "c"
    ticks = page.find_elements("css selector", "#profile text.x:not(.label)")
    assert [tick.text for tick in ticks] == ["a", "b", "c"]
    assert page.find_elements("css selector", "#profile .set-dot")
    assert not page.find_elements("css selector", "#profile .set")


def test_page_writes_numbers_as_python_does(browser) -> None:
    script = (Path(bi.__file__).parent / "report" / "number_format.js").read_text()
    call = f"{script}; return arguments[0].map"
    sizes = [0.0, 1.0, 1.005, 13_500.0, 13_512.7, 999_999.6, 1.35e8, 2.5e9, 1e120, 0.012345, 3e-7]
    values = [sign * size for size in sizes for sign in (1, -1) if size or sign > 0]
    shown = browser.execute_script(f"{call}(formatNumber)", values)
    assert shown == [format_number(value) for value in values]
    assert shown[values.index(13_500.0)] == "13,500"
    shown = browser.execute_script(f"{call}((v) => formatToUncertainty(v, -1, true))", values)
    assert shown == [format_to_uncertainty(value, -1, sign=True) for value in values]
    shares = [0.0, 0.004, 0.006, 0.5, 0.994, 0.996, 1.0]
    shown = browser.execute_script(f"{call}(formatProbability)", shares)
    assert shown == [format_probability(share) for share in shares]


def test_keyboard_moves_a_slider(opened, posterior) -> None:
    page = opened(posterior)
    base, start = plan_of(page), positions(page)
    assert page.find_element("css selector", "label[for=action-1]").text == "green"
    page.find_element("id", "action-1").send_keys("\ue014")  # the right arrow
    assert positions(page)[1] == start[1] + 1
    assert_agrees(page, posterior, base, start)
    assert page.find_element("id", "along").get_property("value") == "1"


def test_an_atom_is_a_stop_of_its_slider(opened) -> None:
    rng = np.random.default_rng(0)
    spend = np.where(rng.random((400, 2)) < 0.3, 3.77, rng.gamma(3.0, 2.0, (400, 2)))
    intervened = np.repeat([[False, False], [True, False], [False, True], [True, False]], 100, 0)
    data = bi.RegimeData.from_arrays(spend, rng.normal(size=400), intervened, ["tv", "radio"])
    fit = made_up(data.names, data=data, model=bi.models.additive())
    values, others = stops(opened(fit))
    assert 3.77 in values
    assert 3.77 in others
    # The others are round numbers, but for the start.
    round_ones = values[values != 3.77]
    steps = round_ones / np.median(np.diff(round_ones))
    uneven = round_ones[abs(steps - steps.round()) > 1e-9]
    assert set(uneven) <= {fit.default_point[0]}


def test_explorer_states_missing_experiments(opened) -> None:
    missing = (
        "Not supported, so the answer rests on the model and its prior: one (no regimes reach "
        "it together with the other values); two (never set in an experiment)."
    )
    hatched = []
    for regimes, sentences in ((3, ""), (2, missing)):
        page = opened(made_up(["one", "two"], regimes=regimes))
        note = page.find_element("id", "beyond")
        assert (note.is_displayed(), note.text) == (bool(sentences), sentences)
        page.find_element("id", "action-1").send_keys("\ue014")
        stretches = page.find_elements("css selector", "#profile .beyond")
        hatched.append(sum(float(stretch.get_attribute("width")) for stretch in stretches))
    # With all experiments the ends of the range are hatched, without one the whole range.
    assert hatched[0] < 0.7 * hatched[1]


@pytest.mark.parametrize("names", [("tv",), HOSTILE])
def test_page_fits_the_width_of_a_phone(browser, opened, names) -> None:
    pairs = [(names[0], names[2]), (names[3], names[2])] if len(names) > 3 else []
    outcome = "<b>Umsatz</b> je Filiale und Woche (T€)"
    model = bi.models.additive("linear", graph={}, interactions=pairs)
    posterior = made_up(names, outcome=outcome, draws=10, unit=1e-9, model=model)
    decision = bi.Decision(cost={names[0]: 1.0}) if len(names) == 1 else None
    page = opened(posterior, width=360, decision=decision)
    assert page.execute_script("return document.documentElement.scrollWidth") == 360
    wide = page.execute_script(
        "return [...document.querySelectorAll('body *')].filter((e) => "
        "!e.closest('.hidden, .wide-table') && e.getBoundingClientRect().right > 360.5)"
        ".map((e) => e.outerHTML.slice(0, 200))"
    )
    assert wide == []
    assert page.title == f"Joint effect on {outcome}"
    labels = [e.text for e in page.find_elements("css selector", ".slider label[for]")]
    assert labels == list(names)
    for scheme, colour in (("dark", "rgb(20, 23, 27)"), ("light", "rgb(255, 255, 255)")):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert background == colour


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
