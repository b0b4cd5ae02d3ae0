"""What two actions do together, and groups that respond differently: followed, or reported."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _kinds import fitted, read
from _worlds import World, named, numbers

import bayes_intgen as bi

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pair_rows(
    interaction: Function, rows: int = 300, bias: Function | None = None
) -> bi.RegimeData:
    """Rows of history and two experiments: a hidden cause per action, linear effects."""
    lines = {"tv": numbers(lambda a: a), "promo": numbers(lambda a: 0.5 * a)}
    together = lambda table: interaction(table["tv"], table["promo"])  # noqa: E731
    world = World(lines, together=together, base=0.0, noise=0.5)
    table = world.table(rows, seed=1)
    if bias is not None:
        table["y"] += bias(table["tv"], table["promo"]) * (table["regime"] != "tv")
    return read(table, world)


def region_rows(spread: float, rows: int = 300, regions: int = 12) -> bi.RegimeData:
    """History in all regions, experiments in four each; levels, noise and spend differ."""
    rng = np.random.default_rng(3)
    level, noise = 2 * rng.normal(size=regions), np.exp(0.5 * rng.normal(size=regions))
    response = 1 + spread * rng.normal(size=(regions, 2))
    usual = 0.4 * rng.normal(size=(regions, 2))
    tables = []
    for k, regime in enumerate(("tv", "promo", "")):
        own = rng.permutation(regions)[: 4 if regime else regions]
        region, cause = rng.choice(own, rows), rng.normal(size=(rows, 2))
        actions = 0.7 * cause + usual[region] + 0.7 * rng.normal(size=(rows, 2))
        if regime:
            actions[:, k] = 1.1 * rng.normal(size=rows)
        sales = (np.tanh(actions) * response[region] + 0.6 * cause).sum(axis=1)
        sales += level[region] + 0.4 * noise[region] * rng.normal(size=rows)
        columns = {"tv": actions[:, 0], "promo": actions[:, 1], "sales": sales, "regime": regime}
        tables.append(pd.DataFrame(columns).assign(region=region.astype(str)))
    names, table = ["tv", "promo"], pd.concat(tables)
    return bi.RegimeData.from_frame(table, names, "sales", "regime", groups=["region"])


def reports(data: bi.RegimeData, model: object = None) -> tuple[list[str], bi.Posterior]:
    """Texts of the warnings about lack of fit, and the fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        posterior = fitted(data, model)
    texts = [str(w.message) for w in caught if w.category is bi.LackOfFitWarning]
    return texts, posterior


def printed(posterior: bi.Posterior) -> str:
    """Printed fit, without line breaks."""
    return " ".join(str(posterior).split())


def both_high(tv: np.ndarray, promo: np.ndarray) -> np.ndarray:
    """Promotions work only above a level of tv."""
    return 1.5 * (tv > 0.3) * promo


def test_an_interaction_with_a_threshold_is_followed() -> None:
    _, posterior = reports(pair_rows(both_high, 600))
    rng = np.random.default_rng(0)
    points = 1.1 * rng.normal(size=(200, 2))
    truth = points @ [1, 0.5] + both_high(*points.T)
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        effect = posterior.joint_effect(points)
    low, high = effect.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    assert np.mean((low < truth) & (truth < high)) > 0.85


@pytest.mark.parametrize("size", [0.8, 2.0])
def test_jumps_in_two_actions_are_followed_and_reported(size: float, tmp_path: Path) -> None:
    data = pair_rows(lambda tv, promo: size * ((tv > 0.2) ^ (promo > -0.3)))
    (text,), posterior = reports(data)
    assert "'tv' and 'promo' together" in text
    assert len(text) <= 200
    assert text[1:] in printed(posterior)
    posterior.save(tmp_path / "fit.nc")
    assert text[1:] in printed(bi.load(tmp_path / "fit.nc"))
    # Contributions and the interaction of all its terms add up to the joint effect.
    points = [[0.5, 0.5], [-1.0, 0.5]]
    parts, effect = posterior.mechanisms(points), posterior.joint_effect(points)
    total = parts.unconfounded.sum("action") + parts.interaction.sum("pair")
    change = total.diff("point") - effect.diff("point").drop_vars("point", errors="ignore").values
    assert np.abs(change).max() < 1e-6


@pytest.mark.parametrize("both", [np.logical_xor, np.logical_and])
def test_jumps_are_followed_close_to_their_thresholds(both: np.ufunc) -> None:
    def jump(tv: np.ndarray, promo: np.ndarray) -> np.ndarray:
        return 1.5 * both(tv > 0.2, promo > -0.3)

    _, posterior = reports(pair_rows(jump, 600))
    points = np.array([[0.1, 0.6], [0.3, 0.6]])
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        change = posterior.joint_effect(points).mean(("chain", "draw")).diff("point")
    assert float(change[0]) - 0.2 == pytest.approx(np.diff(jump(*points.T))[0], abs=0.4)


def test_a_bias_with_a_threshold_is_not_taken_for_an_interaction() -> None:
    data = pair_rows(lambda tv, promo: 0 * tv, 600, bias=lambda tv, promo: 2.0 * (tv > 0) * promo)
    _, posterior = reports(data)
    points = [[1.0, -1.0], [1.0, 1.0]]
    effect = posterior.joint_effect(points).diff("point")
    # Without the bias the change is 0.5 * 2; with it, 5.
    assert abs(float(effect.mean()) - 1.0) < 0.5


def test_regions_that_respond_differently_are_reported_once() -> None:
    data = region_rows(0.5)
    (text,), posterior = reports(data)
    assert "'region'" in text
    assert "groups={'region': ['level', " in text
    assert len(text) <= 200
    assert text[1:] in printed(posterior)
    model = bi.models.additive(groups={"region": ["level", "tv", "promo"]})
    assert reports(data, model)[0] == []


@pytest.mark.parametrize("size", [{}, {"rows": 400, "regions": 100}], ids=["few", "many"])
def test_regions_that_respond_alike_are_not_reported(size: dict[str, int]) -> None:
    assert reports(region_rows(0.0, **size))[0] == []


@pytest.mark.parametrize("promo", ["off on", "low middle high", "1 2 3 4 5 6 7 8"])
def test_a_threshold_beside_named_or_few_values_is_followed(promo: str) -> None:
    names = promo.split()
    kinds = {name: i % 2 for i, name in enumerate(names)}
    actions = {"tv": numbers(lambda a: a), "promo": named(dict.fromkeys(names, 0.0))}
    together = lambda rows: 3.0 * (rows["tv"] > 0.3) * rows["promo"].map(kinds)  # noqa: E731
    world = World(actions, together=together, noise=0.5)
    table = world.table(300)
    if names[0].isdigit():
        table["promo"] = table["promo"].astype(float)
    model = bi.models.additive(unconfounded={"promo": bi.Levels(ordered=False)})
    _, posterior = reports(read(table, world), model)
    points = [{"tv": 1.2, "promo": float(x) if x.isdigit() else x} for x in names[:2]]
    change = posterior.joint_effect(points).diff("point")
    assert float(change.mean()) == pytest.approx(3.0, abs=0.6)
