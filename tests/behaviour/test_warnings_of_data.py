"""Conditions of a table that a fit reports, once each, in two lines; and tables without any."""

import re
import warnings

import numpy as np
import pytest
from _rows import fitted, one_at_a_time

import bayes_intgen as bi

MASKS = one_at_a_time(2, 300)
LINEAR = bi.models.additive("linear")


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Actions with hidden causes, and an outcome with mean zero and standard deviation one."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=MASKS.shape)
    actions = np.where(MASKS, rng.normal(size=MASKS.shape), causes + rng.normal(size=MASKS.shape))
    outcome = np.tanh(actions) @ [1.0, -0.6] + causes @ [0.5, 0.7] + rng.normal(size=len(MASKS))
    return actions, (outcome - outcome.mean()) / outcome.std()


def table(actions: np.ndarray, outcome: np.ndarray, **columns) -> bi.RegimeData:
    return bi.RegimeData.from_arrays(
        actions, outcome, MASKS, ["tv", "radio"], outcome_name="sales", **columns
    )


def warned(data: bi.RegimeData, model: bi.models.Model = LINEAR) -> list[str]:
    """Messages of a quick fit, at most two lines each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(data, model)
    messages = [str(own.message) for own in caught if own.category is not bi.SamplingWarning]
    assert all(len(message) <= 220 for message in messages)
    return messages


def at_random(outcome: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).random(len(outcome)) < outcome


def counts(outcome: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).poisson(np.exp(3 + 0.8 * outcome)).astype(float)


def multiplied(values: np.ndarray, factor: float) -> np.ndarray:
    half = np.random.default_rng(2).random(values.shape) < 0.5
    return np.where(half, factor * values, values)


@pytest.mark.parametrize(
    ("transform", "seen"),
    [
        (lambda y: np.maximum(y, -0.5), "'sales' is .0.5, its lowest value, in 3.% of rows"),
        (lambda y: np.minimum(y, 1.0), "'sales' is 1, its highest value, in 1.% of rows"),
        (lambda y: np.clip(np.round(3 + 1.3 * y), 1, 5), "'sales' is [15], its .* value, in"),
        (lambda y: 1 / (1 + np.exp(-y)), "'sales' is a proportion, 0.0.* to 0.9"),
        (lambda y: 1.0 * at_random(0.02 * np.exp(y)), "'sales' is 1 in only .* of rows"),
        (lambda y: np.clip(np.round(4 + 0.8 * y), 1, 7), "'sales' is one of [67] whole numbers"),
        (lambda y: np.clip(np.round(y), -3, 3), "'sales' is one of 7 whole numbers"),
        (counts, "'sales' has a variance that grows .* times as fast as its mean"),
    ],
    ids=["floor", "ceiling", "ends", "proportion", "rare ones", "scale", "signed scale", "counts"],
)
def test_outcomes_to_which_effects_may_not_add_up(transform, seen) -> None:
    actions, outcome = world()
    data = table(actions, transform(outcome))
    (message,) = [text for text in warned(data) if "may not add up" in text]
    assert re.search(seen, message)
    assert "add rows in which several actions were set" in message
    assert message in bi.report_identification(data).problems


def test_where_several_actions_were_set_the_remedy_is_the_test() -> None:
    actions, outcome = world()
    both = MASKS | (np.arange(len(MASKS)) % 5 == 0)[:, None]
    data = bi.RegimeData.from_arrays(actions, np.maximum(outcome, 0), both)
    (message,) = [text for text in warned(data) if "may not add up" in text]
    assert "bi.check" in message


@pytest.mark.parametrize("mean", [1.0, 4.0, 40.0])
def test_no_advice_on_adding_up_for_counts_whose_mean_is_a_sum(mean: float) -> None:
    actions, outcome = world()
    added = mean * np.maximum(1 + 0.3 * outcome, 0.1)
    few = np.random.default_rng(4).poisson(added).astype(float)
    assert not any("add up" in text for text in warned(table(actions, few)))


def test_counts_are_compared_where_one_regime_has_zeros_only() -> None:
    actions, outcome = world()
    some = np.where(MASKS[:, 0], 0.0, counts(outcome))
    assert any("times as fast as its mean" in text for text in warned(table(actions, some)))


def test_no_advice_on_adding_up_where_nothing_adds_up() -> None:
    actions, outcome = world()
    proportions = table(actions, 1 / (1 + np.exp(-outcome)))
    for model in (bi.models.pooled("linear"), bi.models.multiplicative("linear")):
        assert not any("add up" in text for text in warned(proportions, model))
    floor = np.maximum(outcome[:600], 0)
    alone = bi.RegimeData.from_arrays(actions[:600, :1], floor, MASKS[:600, :1])
    assert not any("add up" in text for text in warned(alone))


def swapped(actions: np.ndarray) -> np.ndarray:
    """Columns of different units, which change places in every other row."""
    actions = actions * [1, 50] + [3, 150]
    return np.where((np.arange(len(actions)) % 2 == 0)[:, None], actions[:, ::-1], actions)


@pytest.mark.parametrize(
    ("mixed", "start"),
    [
        (lambda a, y: (a, multiplied(y + 2, 10)), "'sales' may mix two units (about 2"),
        (lambda a, y: (a, multiplied(y + 2, 1000)), "'sales' may mix two units (about 2"),
        (lambda a, y: (multiplied(a.T, 1000).T, y), "'tv', 'radio' may mix two units"),
        (lambda a, y: (swapped(a), y), "'tv', 'radio' may mix two units"),
    ],
)
def test_columns_in_two_units_share_a_warning(mixed, start: str) -> None:
    data = table(*mixed(*world()))
    (message,) = [text for text in warned(data) if "unit" in text]
    assert message.startswith(start)
    assert "convert" in message
    assert message in bi.report_identification(data).problems


def sound() -> dict[str, bi.RegimeData]:
    actions, outcome = world()
    rng = np.random.default_rng(4)
    doses, shares = [0.0, 1, 5, 10, 25, 50, 100], [0.4, 0.1, 0.2, 0.05, 0.1, 0.05, 0.1]
    several = rng.choice(doses, MASKS.shape, p=shares)
    spend = np.where(rng.random(MASKS.shape) < 0.4, 0.0, np.exp(2 * actions + 3))
    ranges = np.where(MASKS, 100 * rng.uniform(0.5, 1.5, MASKS.shape), np.exp(0.5 * actions))
    small = rng.random(len(MASKS)) < 0.5
    size, kind = np.where(small, 1.0, 30.0), {"size": np.where(small, "small", "large")}
    coin = 1.0 * (actions > 0)
    return {
        "smooth": table(actions, outcome),
        "few doses": table(several, outcome),
        "binary actions with large effects": table(coin, outcome + 30 * coin.sum(axis=1)),
        "spend with zeros": table(spend, outcome),
        "lognormal outcome": table(actions, np.exp(outcome)),
        "other ranges in experiments": table(ranges, outcome),
        "shops of two sizes": table(
            size[:, None] * np.exp(0.5 * actions), size * np.exp(0.5 * outcome), covariates=kind
        ),
        "counts": table(actions, rng.poisson(20 + 3 * outcome).astype(float)),
        "zeros and ones": table(
            actions, 1.0 * (rng.random(len(MASKS)) < 0.3 + 0.05 * np.tanh(outcome))
        ),
        "heavy tails": table(actions, outcome + 0.5 * rng.standard_t(3, len(MASKS))),
    }


@pytest.mark.parametrize("kind", sound())
def test_sound_tables_are_not_reported(kind: str) -> None:
    problems = bi.report_identification(sound()[kind]).problems
    assert not [text for text in problems if "add up" in text or "unit" in text]


def test_one_warning_for_all_covariates_and_actions_and_none_for_dates() -> None:
    actions, outcome = world()
    mood = outcome + 2 * MASKS.any(axis=1) + np.random.default_rng(8).normal(0, 0.2, len(MASKS))
    days = np.datetime64("2024-01-01") + (np.arange(len(MASKS)) // 3).astype("timedelta64[D]")
    covariates = {"week": np.arange(len(MASKS)) // 20, "mood": mood, "day": days}
    first, message = warned(table(actions, outcome, covariates=covariates))
    assert message.startswith("covariate 'mood' depends on 'tv', 'radio' where that was set (p =")
    assert message.endswith("): omit it")
    # One experiment after the other, without history of the same weeks.
    assert first.startswith("no value of 'week' has both history and any experiment: the level")
    assert "(the same for 'day')" in first


LAGGED = bi.models.additive("linear", carryover={"tv": bi.Adstock(rate=0.5)})
LOG = bi.models.multiplicative("linear")


@pytest.mark.filterwarnings("ignore:1 of 900 rows have missing cells")
@pytest.mark.parametrize(
    ("model", "cell", "rows"),
    [(LINEAR, 0.0, "10 150"), (LAGGED, 0.0, "10"), (LINEAR, np.nan, ""), (LOG, 0.0, "10 150")],
    ids=["whole", "rows without a past left out", "a row with a missing cell left out", "log"],
)
def test_far_cells_and_outcomes_are_named_by_their_rows(model, cell: float, rows: str) -> None:
    actions, outcome = world()
    actions[0, 0], actions[10, 1], outcome = cell, 1e4, np.exp(0.3 * outcome)
    outcome[150] = 500
    data = table(actions, outcome, time=np.arange(len(MASKS)), missing="drop")
    text = " ".join(text for text in warned(data, model) if " is 10,000" in text or " 500" in text)
    assert " ".join(re.findall(r"in row (\d+)", text)) == rows
    assert ("'radio' is 10,000" in text, "'sales' is 500" in text) == (True, True)
    assert ("student_t" in text) == (model.link == "identity")


def test_actions_outside_their_range_share_a_warning_with_values() -> None:
    posterior = fitted(table(*world()), LINEAR)
    with pytest.warns(bi.SupportWarning) as caught:
        posterior.joint_effect([[0.0, 0.0], [50.0, 40.0]])
    (message,) = [str(own.message) for own in caught]
    assert message.startswith("1 of 2 points are not supported")
    assert "'tv' = 50 is outside its range" in message
    assert "'radio' = 40 is outside its range" in message
    assert len(message) <= 220
    with pytest.warns(bi.SupportWarning) as caught:
        posterior.mechanisms([[50.0, 40.0]])
    assert len(caught) == 1
    with pytest.warns(bi.SupportWarning, match="the point is not supported"):
        posterior.joint_effect([[50.0, 40.0]])


def test_actions_that_the_model_does_not_follow_share_a_warning() -> None:
    actions, outcome = world()
    waves = outcome + 3 * np.sin(2 * actions).sum(axis=1)
    (message,) = [text for text in warned(table(actions, waves)) if "does not follow" in text]
    assert "the contribution of 'radio', 'tv'" in message or "of 'tv', 'radio'" in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("random_seed", "use seed"),
        ("tune", "use warmup"),
        ("num_samples", "use draws"),
        ("cores", "chains run in parallel by themselves"),
        ("nuts_sampler", "use method"),
        ("progressbar", "'progress'"),
    ],
)
def test_names_of_other_samplers_arguments_get_the_remedy(name: str, remedy: str) -> None:
    with pytest.raises(TypeError, match=f"{name}.*{remedy}"):
        bi.fit(table(*world()), **{name: 1})
