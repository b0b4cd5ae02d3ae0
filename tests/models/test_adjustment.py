"""Terms of covariates, moderators and groups."""

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, moments, one_at_a_time

import bayes_intgen as bi

REGIONS = np.array(["north", "south", "east", "west"])


def _data(nested: bool = False, **arguments: object) -> bi.RegimeData:
    rng, n = np.random.default_rng(0), 240
    regime = np.repeat([0, 1, 2], n // 3)
    region = regime + (rng.random(n) < 0.5) * (regime == 0) * 3 if nested else np.arange(n) % 4
    actions = rng.normal(size=(n, 2))
    age = rng.normal(40, 10, size=n)
    outcome = actions.sum(axis=1) + 0.1 * age + region + 0.1 * rng.normal(size=n)
    columns = {
        "covariates": {"age": age, "kind": np.where(rng.random(n) < 0.3, "a", "b")},
        "groups": {"region": REGIONS[region]},
    }
    masks, names = one_at_a_time(2, n // 3), ["tv", "promo"]
    return bi.RegimeData.from_arrays(actions, outcome, masks, names, **columns | arguments)


MODEL = bi.models.additive("linear", moderators={"tv": ["age"]}, groups={"region": ["level", "tv"]})


def test_terms_average_zero_over_the_observational_rows() -> None:
    data = _data()
    terms = MODEL.decompose(data)
    point, none_set = np.array([[0.7, -0.2]]), np.zeros_like(data.intervened)
    rows = np.column_stack([np.tile(point, (len(data), 1)), data.inputs[:, 2:]])
    each = terms.matrix(rows, none_set)
    average = each[~data.intervened.any(axis=1)].mean(axis=0)
    np.testing.assert_allclose(average, terms.matrix(point, none_set[:1])[0], atol=1e-12)
    # Negative control: over all rows they do not.
    assert np.abs(each.mean(axis=0) - average).max() > 1e-3


def test_default_priors() -> None:
    names = {term.name for term in bi.models.additive().decompose(_data()).terms}
    assert {"gamma(age)", "gamma(kind)", "level(region)"} <= names
    data = _data(groups={"patient": np.repeat(np.arange(80), 3).astype(str)})
    terms = bi.models.additive(groups={"patient": ["level", "promo"]}).decompose(data)
    assert terms.random_effects is not None
    assert terms.random_effects.names == ("patient", "patient | promo")
    assert not any(term.role == "group" for term in terms.terms)


@pytest.mark.parametrize("start", [0, 5200])
def test_trend_and_season_add_up(start: int) -> None:
    data = _data(covariates={"week": np.arange(start, start + 240.0)}, groups={})
    model = bi.models.additive("linear", covariates={"week": [bi.Trend(), bi.Seasonal(52)]})
    terms = model.decompose(data)
    names = [term.name for term in terms.terms if term.role == "covariate"]
    assert names == ["gamma(week) slope", "gamma(week) trend", "gamma(week) season 52"]
    line, _, season = (terms.design(data)[:, terms.columns[name]] for name in names)
    np.testing.assert_allclose(np.diff(line, 2, axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(season[:52], season[52:104], atol=1e-9)


@pytest.mark.parametrize("nested", [False, True])
def test_levels_of_groups_under_one_mask_are_not_centred(nested: bool) -> None:
    data = _data(nested)
    terms = MODEL.decompose(data)
    columns = terms.matrix(data.inputs, data.intervened)[:, terms.columns["level(region)"]]
    means = columns[~data.intervened.any(axis=1)].mean(axis=0)
    assert (np.abs(means).max() < 1e-12) is not nested


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariates": {"aeg": "linear"}}, "the model names 'aeg'.*'age', 'kind'"),
        ({"moderators": {"tv": ["region"]}}, "the model names 'region'; the covariates"),
        ({"moderators": {"radio": ["age"]}}, "unknown action 'radio'"),
        ({"groups": {"regoin": ["level"]}}, "the model names 'regoin'"),
        ({"groups": {"region": ["radio"]}}, "unknown action 'radio'.*'level' or actions"),
    ],
)
def test_unknown_names_raise(arguments: dict[str, object], message: str) -> None:
    model = bi.models.additive(**arguments)  # type: ignore[arg-type]
    with pytest.raises(bi.ModelError, match=message):
        model.decompose(_data())


def test_priors_of_numbers_are_refused_for_named_levels() -> None:
    model = bi.models.additive(covariates={"kind": "linear"})
    data = _data(covariates={"kind": np.random.default_rng(0).choice(["a", "b", "c"], 240)})
    with pytest.raises(bi.ModelError, match=r"'kind' has named levels .*use bi.Levels\(\)"):
        model.decompose(data)
    bi.models.additive(covariates={"kind": bi.Levels(ordered=False)}).decompose(data)


@pytest.mark.parametrize("count", [600, 16_000])
def test_products_of_covariates_are_selected(count: int) -> None:
    """They move an action and the outcome; a question may fix both covariates, or one."""
    rng, masks = np.random.default_rng(0), one_at_a_time(1, count)
    z, v, cause, noise = rng.normal(size=(4, len(masks)))
    tv = np.where(masks[:, 0], 1.5 * noise, 0.5 * z * v + cause)
    outcome = np.tanh(tv) + cause + 1.5 * z * v + 0.5 * rng.normal(size=len(masks))
    covariates = {"z": z, "v": v}
    fit = fitted(
        bi.RegimeData.from_arrays(tv[:, None], outcome, masks, ["tv"], covariates=covariates)
    )
    corners = [fit.given(z=1, v=own).joint_effect([[0.5]]) for own in (1, -1)]
    mean, sd = moments(corners[0] - corners[1])
    assert abs(mean[0] - 3) < 4 * sd[0]
    assert abs(mean[0] - 3) < 0.5
    rows = pd.DataFrame(covariates)[~masks[:, 0]]
    one, other = (
        moments(own.joint_effect([[0.5]]))[0]
        for own in (fit.given(z=1), fit.over(rows.assign(z=1)))
    )
    assert one == pytest.approx(other, abs=0.02)


def test_groups_differ_at_one_of_three_ordered_levels() -> None:
    rng, names = np.random.default_rng(0), ["low", "middle", "high"]
    table = pd.DataFrame({"dose": rng.choice(names, 800), "group": rng.choice(["a", "b"], 800)})
    table["y"] = 2.0 * (table == ["middle", "b"]).all(axis=1) + 0.3 * rng.normal(size=800)
    table["regime"] = np.repeat(["", "dose"], 400)
    table["dose"] = pd.Categorical(table["dose"], names, ordered=True)
    data = bi.read(table, ["dose"], "y", "regime", groups=["group"])
    model = bi.models.additive(groups={"group": ["level", "dose"]})
    effect = fitted(data, model).joint_effect([[name] for name in names], given={"group": "b"})
    np.testing.assert_allclose(moments(effect)[0], [0, 2, 0], atol=0.2)
