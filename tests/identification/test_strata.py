"""Whether rows at common dates, values and groups determine the level of an effect."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

NAMES = ("tv", "radio", "print")
# Dates of history and of each experiment, in years, given a generator and a number of rows.
Dates = Callable[[np.random.Generator, int], Sequence[np.ndarray]]


def between(rng: np.random.Generator, n: int, *ends: tuple[float, float]) -> list[np.ndarray]:
    return [rng.uniform(*own, n) for own in ends]


def in_gap(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    history, *others = between(rng, n, (0, 1.8), *3 * [(1.01, 1.19)])
    return [history + 0.2 * (history > 1), *others]


def a_few_together(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    every = between(rng, n, (0, 1), *3 * [(1.02, 2)])
    for own in every[1:]:
        own[: round(0.03 * n)] -= 1
    return every


def with_wrong_dates(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    every = between(rng, n, (0, 1), *3 * [(1.1, 2)])
    for own in every[1:]:
        own[0] = 0.5
    return every


APART: dict[str, Dates] = {
    "a year later": lambda rng, n: between(rng, n, (0, 1), *3 * [(1.02, 2)]),
    "one after the other": lambda rng, n: between(
        rng, n, (0, 1), (1.02, 1.3), (1.3, 1.6), (1.6, 2)
    ),
    "in a gap of history": in_gap,
    "one experiment later": lambda rng, n: between(rng, n, *3 * [(0, 1)], (1.02, 2)),
    "one wrong date each": with_wrong_dates,
}
TOGETHER: dict[str, Dates] = {
    "three rows in a hundred together": a_few_together,
    "all year": lambda rng, n: between(rng, n, *4 * [(0, 1)]),
    "history runs on": lambda rng, n: between(rng, n, (0, 2), (1, 1.3), (1.3, 1.6), (1.6, 2)),
    "control regions": lambda rng, n: [
        np.concatenate([rng.uniform(0, 1, n), rng.uniform(1, 2, n // 5)]),
        *between(rng, n, *3 * [(1, 2)]),
    ],
    "chain": lambda rng, n: between(rng, n, (0, 0.3), (0.1, 0.6), (0.4, 0.9), (0.7, 1.2)),
    "weeks in turn": lambda rng, n: [
        (4 * rng.integers(0, 18, n) + rng.permutation(4)[k]) / 52 for k in range(4)
    ],
}


def table(dates: Sequence[np.ndarray], unit: str) -> tuple[bi.RegimeData, str]:
    """Rows with dates as numbers, as days, or as weeks that no regimes share by rounding."""
    labels = np.repeat(["", *NAMES], [len(own) for own in dates])
    years = np.concatenate(dates)
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(len(years), 4)))
    frame.columns = [*NAMES, "y"]
    when = pd.Timestamp("2023-01-01") + pd.to_timedelta(364 * years, unit="D")
    frame["when"] = years if unit == "number" else when if unit == "time" else when.floor("D")
    frame["regime"] = labels
    data = bi.RegimeData.from_frame(frame, NAMES, "y", "regime", covariates=["when"])
    return data, "value" if unit == "number" else "date"


@pytest.mark.parametrize("unit", ["number", "time", "day"])
@pytest.mark.parametrize("rows", [100, 1000])
@pytest.mark.parametrize("kind", [*APART, *TOGETHER])
def test_levels_need_common_dates(kind, rows, unit) -> None:
    dates = (APART | TOGETHER)[kind](np.random.default_rng(rows), rows)
    data, what = table(dates, unit)
    certificate = data.identify(NAMES)
    assert certificate.identified
    if kind in TOGETHER:
        assert certificate.level_rests_on == {}
        assert "rests on" not in str(certificate)
        return
    assert [*certificate.level_rests_on] == ["when"]
    assert f"{what} in 'when'" in str(certificate) or f"{what} of 'when'" in str(certificate)
    assert "changes between plans do not" in str(certificate)
    assert data.support([[0.0, 0.0, 0.0]]).attrs["level_rests_on"] == "when"


def test_only_the_experiment_that_is_apart_is_named() -> None:
    dates = APART["one experiment later"](np.random.default_rng(0), 200)
    data, _ = table(dates, "time")
    words = "No date in 'when' has both history and do(print): the level of the effect"
    assert words in str(data.identify(NAMES))
    assert data.identify(["tv"]).level_rests_on == {}
    wrong, _ = table(with_wrong_dates(np.random.default_rng(0), 1000), "day")
    words = "Hardly any date in 'when' has both history and any experiment"
    assert words in str(wrong.identify(NAMES))


def test_a_level_may_be_determined_at_some_dates_only() -> None:
    """History and do(tv) in one year, do(radio) in the next: do(tv, radio) in that one."""
    rng, names = np.random.default_rng(0), ["tv", "radio"]
    frame = pd.DataFrame(rng.normal(size=(150, 3)), columns=[*names, "y"])
    frame = frame.assign(regime=np.repeat(["", *names], 50), year=np.repeat([0, 0, 1], 50))
    data = bi.RegimeData.from_frame(frame, names, "y", "regime", covariates=["year"])
    with pytest.warns(bi.DataWarning, match="'year'"):
        posterior = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    with pytest.warns(bi.SupportWarning, match="level of the effect"):
        posterior.joint_effect([[0.0, 0.0]], given={"year": 0})
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        posterior.joint_effect([[0.0, 0.0]], given={"year": 1})


def test_groups_with_several_regimes_determine_levels() -> None:
    """Half of the regions have history only, and most patients one regime."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["", *NAMES], 960)
    region = rng.integers(0, 24, 960)
    labels[region < 12] = ""
    frame = pd.DataFrame(rng.normal(size=(960, 4)), columns=[*NAMES, "y"]).assign(regime=labels)
    frame["region"] = [f"region {code}" for code in region]
    frame["patient"] = [f"patient {code}" for code in range(960)]
    for column, rests in (("region", []), ("patient", ["patient"])):
        data = bi.RegimeData.from_frame(frame, NAMES, "y", "regime", groups=[column])
        assert [*data.identify(NAMES).level_rests_on] == rests
