"""Whether rows at common dates, values and groups determine the level of an effect."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.identification.regimes import is_identified
from bayes_intgen.identification.strata import MIN_INFORMATION, Strata

NAMES = ("tv", "radio", "print")
# Dates of history and of each experiment, in years, given a generator and a number of rows.
Dates = Callable[[np.random.Generator, int], Sequence[np.ndarray]]


def between(rng: np.random.Generator, n: int, *ends: tuple[float, float]) -> list[np.ndarray]:
    return [rng.uniform(*own, n) for own in ends]


def in_gap(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    history, *others = between(rng, n, (0, 1.8), *3 * [(1.01, 1.19)])
    return [history + 0.2 * (history > 1), *others]


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
    data = bi.RegimeData.from_frame(
        frame.assign(regime=labels), NAMES, "y", "regime", covariates=["when"]
    )
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
    assert "Hardly any date in 'when' has both history and any experiment" in str(
        wrong.identify(NAMES)
    )


def strata(rng: np.random.Generator) -> Strata:
    """Counts of random regimes in a few strata, with many empty cells."""
    every = list(product([False, True], repeat=3))
    masks = [every[i] for i in rng.choice(8, rng.integers(3, 7), replace=False)]
    rows = rng.integers(1, 9, (5, len(masks))) * (rng.random((5, len(masks))) < 0.3)
    return Strata("when", "value", np.arange(5.0), tuple(masks), rows)


def variance(design: np.ndarray, wanted: np.ndarray) -> float:
    """Variance of a combination of coefficients by least squares; infinite if undetermined."""
    gram = design.T @ design
    inverse = np.linalg.pinv(gram, hermitian=True)
    outside = np.abs(gram @ inverse @ wanted - wanted).max() > 1e-8
    return np.inf if outside else float(wanted @ inverse @ wanted)


def test_information_is_that_of_least_squares_on_every_row() -> None:
    rng, found = np.random.default_rng(0), []
    while len(found) < 100:
        own, target = strata(rng), tuple((rng.random(3) < 0.5).tolist())
        if not (own.rows.any(axis=0).all() and own.rows.any(axis=1).all()):
            continue
        if not is_identified(own.masks, target):
            continue
        at, which = (np.repeat(i.ravel(), own.rows.ravel()) for i in np.indices(own.rows.shape))
        biased, one = 1.0 - np.array(own.masks)[which], np.ones((len(at), 1))
        shares = np.eye(5)[rng.integers(5)]
        inside = at == shares.argmax()
        level = np.concatenate([1.0 - np.array(target), shares])
        # The mean of the rows at these values is part of the level, and needs no biases.
        added = variance(np.hstack([biased, np.eye(5)[at]]), level) - 1 / inside.sum()
        without = variance(np.hstack([biased, one]), np.append(level[:3], 1.0))
        known = without / (without + added)
        assert own.information(target, shares) == pytest.approx(known, abs=1e-9)
        found.append(known)
    assert 5 < sum(share == 0 for share in found) < 95


def test_a_level_may_be_determined_at_some_dates_only() -> None:
    """History and do(tv) in one year, do(radio) in the next: do(tv, radio) in that one."""
    masks = ((False, False), (True, False), (False, True))
    own = Strata("year", "value", np.arange(2.0), masks, np.array([[50, 50, 0], [0, 0, 50]]))
    at = [own.information((True, True), shares) for shares in np.eye(2)]
    assert at[0] == 0
    assert at[1] > MIN_INFORMATION


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
