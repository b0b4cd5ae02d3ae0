"""Rows of a unit that follow each other: intervals allow for what they have in common."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

NAMES = ["tv", "radio"]
REGIONS, WEEKS, BLOCK = 18, 60, 12
SLOPE = np.array([0.8, -0.5])
POINTS = np.array([[0.0, 0.0], [1.0, -1.0], [-1.0, 0.5]])
ORDER = {"unit": "region", "time": "week"}


def persistent(rng: np.random.Generator, decay: float, columns: int) -> np.ndarray:
    """Autoregressions of regions, shape (regions, weeks, columns)."""
    out = rng.normal(size=(REGIONS, WEEKS, columns))
    for week in range(1, WEEKS):
        out[:, week] = decay * out[:, week - 1] + np.sqrt(1 - decay**2) * out[:, week]
    return out


def panel(seed: int, decay: float) -> pd.DataFrame:
    """Weeks of regions with history, a third of which have an experiment each for some weeks."""
    rng = np.random.default_rng(seed)
    causes, noise = persistent(rng, decay, 2), persistent(rng, decay, 1)[..., 0]
    region, week = np.indices(noise.shape)
    first = rng.integers(0, WEEKS - BLOCK, REGIONS)[:, None]
    inside = (week >= first) & (week < first + BLOCK)
    mask = inside[..., None] & (region[..., None] % 3 == np.arange(2))
    observed = 0.8 * causes + 0.6 * rng.normal(size=causes.shape)
    actions = np.where(mask, rng.normal(size=causes.shape), observed)
    outcome = actions @ SLOPE + causes.sum(axis=-1) + noise
    names = np.array(["", *NAMES])[np.where(mask.any(-1), 1 + mask.argmax(-1), 0)]
    columns = {"y": outcome, "region": region, "week": week, "regime": names}
    frame = pd.DataFrame({name: column.ravel() for name, column in columns.items()})
    frame[NAMES] = actions.reshape(-1, 2)
    return frame.assign(region=[f"r{code}" for code in frame["region"]])


def fitted(frame: pd.DataFrame, **columns: object) -> bi.Posterior:
    rows = bi.RegimeData.from_frame(frame, NAMES, outcome="y", regime="regime", **columns)
    return bi.fit(rows, method="laplace", progress=False)


def z_of_effects(posterior: bi.Posterior) -> np.ndarray:
    effect = posterior.joint_effect(POINTS)
    mean, sd = effect.mean(("chain", "draw")), effect.std(("chain", "draw"))
    return np.asarray((mean - POINTS @ SLOPE) / sd)


@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_intervals_allow_for_persistent_noise_and_causes() -> None:
    with_order, without = [], []
    for seed in range(8):
        frame = panel(seed, decay=0.8)
        with_order.append(z_of_effects(fitted(frame, **ORDER)))
        without.append(z_of_effects(fitted(frame)))
    # Of independent intervals the root mean square is one, with a standard error of 0.2 to 0.3.
    assert np.sqrt(np.mean(np.square(with_order))) < 1.4
    assert np.sqrt(np.mean(np.square(without))) > 1.7


@pytest.mark.filterwarnings("ignore:neighbouring rows")
@pytest.mark.parametrize("inside", [True, False])
def test_noise_of_experiments_may_persist_more_than_that_of_history(inside: bool) -> None:
    """An action that was set has its hidden cause in the noise, and history hardly tells of it."""
    frame = panel(2, decay=0.0)
    noise = 2 * persistent(np.random.default_rng(2), 0.9, 1).ravel()
    frame["y"] += np.where((frame["regime"] != "") == inside, noise, 0.0)
    sd = [float(fitted(frame, **columns).joint_effect(POINTS[:1]).std()) for columns in (ORDER, {})]
    # Effects are sums of experiments' means, and history has seven times as many rows of a unit.
    assert (sd[0] > 2 * sd[1]) == inside


def test_independent_rows_keep_their_intervals() -> None:
    frame = panel(1, decay=0.0)
    plain, ordered = fitted(frame), fitted(frame, **ORDER)
    for one in (plain, ordered):
        assert one.autocorrelation.next == 0
    np.testing.assert_array_equal(
        plain.joint_effect(POINTS).to_numpy(), ordered.joint_effect(POINTS).to_numpy()
    )
    assert "their residuals are not correlated" in str(ordered)


def test_the_correlation_is_that_of_the_noise() -> None:
    """Causes and noise persist alike, and so does their sum, whatever the order of the rows."""
    frame = panel(3, decay=0.8)
    found = fitted(frame, **ORDER).autocorrelation
    assert 0.7 <= found.decay <= 0.9
    assert 0.5 < found.next < 0.8
    shuffled = fitted(frame.sample(frac=1, random_state=0), **ORDER).autocorrelation
    assert shuffled.next == pytest.approx(found.next, abs=0.02)
    other_unit = frame.assign(week=frame["week"] * 7.0)
    assert fitted(other_unit, **ORDER).autocorrelation.next == pytest.approx(found.next, abs=0.02)


def test_a_change_is_the_difference_of_its_effects() -> None:
    posterior = fitted(panel(4, decay=0.8), **ORDER)
    change = posterior.contrast(POINTS[[1]], POINTS[[0]]).to_numpy()[..., 0]
    effect = posterior.joint_effect(POINTS[:2]).to_numpy()
    np.testing.assert_allclose(change, effect[..., 1] - effect[..., 0], atol=1e-9)


def test_summary_and_report_say_what_intervals_allow_for(tmp_path: Path) -> None:
    posterior = fitted(panel(4, decay=0.8), **ORDER)
    posterior.report(tmp_path / "page.html")
    for text in (str(posterior), (tmp_path / "page.html").read_text()):
        said = " ".join(text.split())
        assert "Rows of a region follow each other by week; intervals allow for" in said


def test_resemblance_of_neighbours_is_reported_without_unit_and_time() -> None:
    with pytest.warns(bi.DataWarning, match="residuals correlate by 0.[3-9]") as caught:
        fitted(panel(5, decay=0.8))
    assert "pass time= and unit=" in str(caught[0].message)
    dated = panel(5, decay=0.8).sample(frac=1, random_state=0)
    dated["week"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * dated["week"], unit="D")
    with pytest.warns(bi.DataWarning, match=r"time='week', unit='region'$"):
        fitted(dated, covariates=["week"], groups=["region"])


@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_planned_rows_are_worth_less_where_rows_resemble_each_other() -> None:
    frame = panel(6, decay=0.8)
    as_independent, ordered = fitted(frame), fitted(frame, **ORDER)
    low, high = np.quantile(as_independent.joint_effect(POINTS[:1]), [0.05, 0.95])
    needed = [own.rows_for(0.6 * (high - low), POINTS[:1]) for own in (as_independent, ordered)]
    # The variance of rows that are worth less is 2.6 times as large, as that of those before.
    assert needed[1] > 2 * needed[0]


def test_persistent_rows_are_no_violation() -> None:
    p = {False: [], True: []}
    for seed in range(4):
        frame = panel(seed, decay=0.8)
        for has_order in p:
            rows = bi.RegimeData.from_frame(
                frame, NAMES, outcome="y", regime="regime", **(ORDER if has_order else {})
            )
            p[has_order].append(bi.check(rows, held_out=0, progress=False).p)
    assert min(p[True]) > 0.01
    assert np.mean(np.log(p[False])) < np.mean(np.log(p[True])) - 0.4


def test_a_parquet_file_with_a_time_is_read_into_memory(tmp_path) -> None:
    frame = panel(7, decay=0.0)
    frame.to_parquet(tmp_path / "rows.parquet")
    roles = {"actions": NAMES, "outcome": "y", "regime": "regime"}
    kinds = [
        type(bi.read(tmp_path / "rows.parquet", **roles, **own, progress=False))
        for own in (ORDER, {})
    ]
    assert kinds == [bi.RegimeData, bi.StreamedData]


def test_a_stream_with_a_time_is_refused() -> None:
    frame = panel(7, decay=0.0)
    stream = bi.StreamedData.from_batches(
        lambda: [frame], NAMES, outcome="y", regime="regime", **ORDER
    )
    with pytest.raises(bi.DataError, match="must be in memory"):
        bi.fit(stream, method="laplace", progress=False)


def test_a_time_may_be_a_date_that_is_no_covariate() -> None:
    frame = panel(0, decay=0.8).assign(age=np.arange(REGIONS * WEEKS) % 7)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["week"], unit="D")
    effects = [
        fitted(own, covariates=["age"], **ORDER).joint_effect(POINTS)
        for own in (frame, frame.assign(week=dates))
    ]
    np.testing.assert_allclose(*effects)
