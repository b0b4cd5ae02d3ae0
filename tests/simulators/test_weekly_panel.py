"""Weekly panels: true effects against averages of simulations, carry-over, dependence, layout."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bayes_intgen._typing import Array
from bayes_intgen.simulators import Linear, MarketingPanel, WeeklyPanel

from simulator_checks import FixedSettings

REGIONS, POINT = MarketingPanel.random(2, seed=3, regions=12), np.array([60.0, 20.0])


@dataclass(frozen=True, eq=False)
class Held(FixedSettings):
    """A model in which all actions have these values in every row."""

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        return self.draw_setting(action, len(causes), rng)


def held(panel: WeeklyPanel) -> WeeklyPanel:
    return replace(panel, panel=replace(panel.panel, base=Held(panel.panel.base, 0.0, POINT)))


@pytest.mark.parametrize("concurrent", [True, False])
def test_true_effect_is_the_mean_history_with_all_actions_held(concurrent: bool) -> None:
    drift = {"shift": 8.0, "slope": -6.0, "growth": 0.3}
    panel = WeeklyPanel(
        REGIONS, concurrent=concurrent, noise=0.4, causes=0.6, carryover=(0.7, 0.3), **drift
    )
    tables = [held(panel).frame(seed) for seed in range(60)]
    means = [table.loc[table["regime"] == "", "outcome"].mean() for table in tables]
    mean, error = np.mean(means), np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(mean - panel.joint_effect([POINT])[0]) < 4 * error
    # Control: without any one part of the drift it is another number.
    for part in drift if concurrent else ("slope", "growth"):
        assert abs(mean - replace(panel, **{part: 0.0}).joint_effect([POINT])[0]) > 6 * error
    # The step is between history and experiments where these are apart.
    apart = replace(panel, concurrent=False, shift=0.0).joint_effect([POINT])
    assert (panel.joint_effect([POINT]) == apart).all() == (not concurrent)


def test_actions_act_with_geometric_weights() -> None:
    regions = MarketingPanel.random(2, seed=1, regions=6, base=Linear, differences=0.0)
    rates = (0.6, 0.0)
    at_once = WeeklyPanel(regions, hold=4).frame(5)
    lasting = WeeklyPanel(regions, hold=4, carryover=rates).frame(5)
    carried = at_once.groupby("region")["a1"].transform(
        lambda weeks: weeks.ewm(alpha=1 - rates[0], adjust=False).mean()
    )
    assert isinstance(regions.base, Linear)
    change = regions.base.alpha[0] * (carried - at_once["a1"])
    late = at_once["week"] > 50
    np.testing.assert_allclose((lasting["outcome"] - at_once["outcome"])[late], change[late])
    np.testing.assert_array_equal(lasting[["a1", "a2"]], at_once[["a1", "a2"]])


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_weeks_of_a_region_are_autocorrelated_with_the_law_of_the_base(correlation: float) -> None:
    regions = MarketingPanel.random(2, seed=3, regions=60, differences=0.0)
    panel = held(WeeklyPanel(regions, noise=correlation, causes=correlation))
    outcome = panel.frame(0)["outcome"].to_numpy().reshape(60, -1)
    left = outcome - outcome.mean()
    for lag in (1, 3):
        found = (left[:, lag:] * left[:, :-lag]).mean() / left.var()
        assert found == pytest.approx(correlation**lag, abs=0.05)
    _, independent = panel.panel.base.sample((), 20_000, np.random.default_rng(0))
    assert outcome.std() == pytest.approx(independent.std(), rel=0.05)
    assert outcome.mean() == pytest.approx(independent.mean(), rel=0.02)


def test_experiments_hold_settings_and_lie_beside_history_or_after_it() -> None:
    panel = WeeklyPanel(MarketingPanel.random(3, seed=0), hold=4)
    beside, after = panel.frame(0), replace(panel, concurrent=False).frame(0)
    for table in (beside, after):
        for name in panel.names:
            own = table[table["regime"] == name].groupby("region")
            assert own.size().tolist() == [16] * 6
            assert own[name].nunique().tolist() == [4] * 6
            assert (own["week"].max() - own["week"].min() == 15).all()
    assert beside.groupby("region").size().eq(104).all()
    history, experiments = after[after["regime"] == ""], after[after["regime"] != ""]
    assert history["week"].max() < 52 <= experiments["week"].min()
    assert experiments["week"].max() == 103
    columns = panel.dataset(0).columns
    assert (columns.every, columns.unit, columns.time) == (("week", "region"), "region", "week")
