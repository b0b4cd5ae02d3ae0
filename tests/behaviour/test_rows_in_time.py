"""Rows of a unit that follow each other: intervals allow for what they have in common."""

import warnings
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _pages import write_page
from _rows import fitted, moments
from dask import dataframe as dd
from distributed import Client, LocalCluster
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

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


def read(frame: pd.DataFrame, **columns: object) -> bi.RegimeData:
    return bi.RegimeData.from_frame(frame, NAMES, "y", "regime", **columns)


def fit_of(frame: pd.DataFrame, **columns: object) -> bi.Posterior:
    return fitted(read(frame, **columns))


def effect_of(rows: bi.Rows, model: bi.models.Model | None = None) -> np.ndarray:
    return fitted(rows, model).joint_effect(POINTS).to_numpy()


def z_of_effects(posterior: bi.Posterior) -> np.ndarray:
    mean, sd = moments(posterior.joint_effect(POINTS))
    return (mean - POINTS @ SLOPE) / sd


@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_intervals_allow_for_persistent_noise_and_causes() -> None:
    with_order, without = [], []
    for seed in range(8):
        frame = panel(seed, decay=0.8)
        with_order.append(z_of_effects(fit_of(frame, **ORDER)))
        without.append(z_of_effects(fit_of(frame)))
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
    sd = [float(fit_of(frame, **columns).joint_effect(POINTS[:1]).std()) for columns in (ORDER, {})]
    # Effects are sums of experiments' means, and history has seven times as many rows of a unit.
    assert (sd[0] > 2 * sd[1]) == inside


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
@pytest.mark.parametrize("rows", [REGIONS * WEEKS, 11])
def test_independent_rows_keep_their_intervals(rows: int) -> None:
    frame = panel(1, decay=0.0)
    frame = frame.iloc[frame.groupby("regime").cumcount().argsort(kind="stable")[:rows]]
    plain, ordered = fit_of(frame), fit_of(frame, **ORDER)
    for one in (plain, ordered):
        assert one.autocorrelation.next == 0
    np.testing.assert_array_equal(plain.joint_effect(POINTS), ordered.joint_effect(POINTS))
    assert "their residuals are not correlated" in str(ordered)


def test_the_correlation_is_that_of_the_noise() -> None:
    """Causes and noise persist alike, and so does their sum, whatever the order of the rows."""
    frame = panel(3, decay=0.8)
    found = fit_of(frame, **ORDER).autocorrelation
    assert 0.7 <= found.decay <= 0.9
    assert 0.5 < found.next < 0.8
    in_another_unit = frame.assign(week=frame["week"] * 7.0)
    for other in (frame.sample(frac=1, random_state=0), in_another_unit):
        again = fit_of(other, **ORDER).autocorrelation
        assert again.next == pytest.approx(found.next, abs=0.02)


def test_a_change_is_the_difference_of_its_effects() -> None:
    posterior = fit_of(panel(4, decay=0.8), **ORDER)
    change = posterior.contrast(POINTS[1:], POINTS[[0, 0]])
    effect = posterior.joint_effect(POINTS).to_numpy()
    np.testing.assert_allclose(change, effect[..., 1:] - effect[..., :1], atol=1e-9)


def test_summary_and_report_say_what_intervals_allow_for(tmp_path: Path) -> None:
    posterior = fit_of(panel(4, decay=0.8), **ORDER)
    for text in (str(posterior), write_page(tmp_path / "page.html", posterior).source):
        said = " ".join(text.split())
        assert "Rows of a region follow each other by week; intervals allow for" in said


def test_resemblance_of_neighbours_is_reported_without_unit_and_time() -> None:
    with pytest.warns(bi.DataWarning, match="residuals correlate by 0.[3-9]") as caught:
        fit_of(panel(5, decay=0.8))
    assert "pass time= and unit=" in str(caught[0].message)
    dated = panel(5, decay=0.8).sample(frac=1, random_state=0)
    dated["week"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * dated["week"], unit="D")
    with pytest.warns(bi.DataWarning, match=r"time='week', unit='region'$"):
        fit_of(dated, covariates=["week"], groups=["region"])


def test_harmless_columns_that_persist_are_not_warned_of() -> None:
    """Nor called moderators, nor functions that do not follow the rows."""
    said = []
    for seed in range(10):
        frame = panel(seed, 0.9).assign(
            temp=persistent(np.random.default_rng(99 + seed), 0.9, 1).ravel()
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = read(frame, **ORDER, covariates=["temp"])
            bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
        said += [str(own.message) for own in caught if "neighbouring" not in str(own.message)]
    assert len(said) <= 1, said


def test_long_series_whose_history_comes_first_have_the_same_intervals() -> None:
    """More rows of history than those from which the dependence is learned."""
    whole = pd.concat(
        panel(seed, 0.9).assign(region=lambda f, seed=seed: f"{seed:02d}" + f["region"])
        for seed in range(22)
    )
    whole.loc[whole["region"].str[:2] < "20", "regime"] = ""
    sds = []
    for names in (whole["region"], whole["region"].map(lambda name: f"{99 - int(name[:2])}{name}")):
        fit = fitted(read(whole.assign(region=names), **ORDER), bi.models.additive("linear"))
        sds.append(float(fit.joint_effect([[0.0, 0.0]]).std()))
    assert 0.7 < sds[0] / sds[1] < 1.4


@pytest.mark.filterwarnings("ignore:neighbouring rows")
def test_planned_rows_are_worth_less_where_rows_resemble_each_other() -> None:
    frame = panel(6, decay=0.8)
    as_independent, ordered = fit_of(frame), fit_of(frame, **ORDER)
    low, high = np.quantile(as_independent.joint_effect(POINTS[:1]), [0.05, 0.95])
    needed = [own.rows_for(0.6 * (high - low), POINTS[:1]) for own in (as_independent, ordered)]
    # The variance of rows that are worth less is 2.6 times as large, as that of those before.
    assert needed[1] > 2 * needed[0]


def test_persistent_rows_are_no_violation() -> None:
    p = {False: [], True: []}
    for seed in range(4):
        frame = panel(seed, decay=0.8)
        for has_order in p:
            rows = read(frame, **ORDER if has_order else {})
            p[has_order].append(bi.check(rows, held_out=0, progress=False).p)
    assert min(p[True]) > 0.01
    assert np.mean(np.log(p[False])) < np.mean(np.log(p[True])) - 0.4


def test_a_parquet_file_with_a_time_is_read_into_memory(tmp_path) -> None:
    frame = panel(7, decay=0.0)
    frame.to_parquet(tmp_path / "rows.parquet")
    for order, kind in ((ORDER, bi.RegimeData), ({}, bi.StreamedData)):
        rows = bi.read(tmp_path / "rows.parquet", NAMES, "y", **order, progress=False)
        assert type(rows) is kind


def streamed(frame: pd.DataFrame, sizes: tuple[int, ...], **columns: object) -> bi.Rows:
    """Rows in batches of some sizes in turn."""
    ends, every = [0], cycle(sizes)
    while ends[-1] < len(frame):
        ends.append(ends[-1] + next(every))
    batches = [frame[start:stop] for start, stop in pairwise(ends)]
    return bi.read(batches, NAMES, "y", progress=False, **ORDER, **columns)


OPEN = bi.models.additive(
    carryover={"tv": bi.Adstock(), "radio": bi.Adstock(0.3, delay=1, length=4)}
)


# Without minimal examples, which take minutes to find.
@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4).map(tuple),
    by=st.sampled_from([["region", "week"], ["week", "region"], ["week"]]),
)
@pytest.mark.parametrize("model", [None, OPEN])
def test_a_stream_gives_what_memory_does(model, sizes, by) -> None:
    """Batches cut units in the middle."""
    frame = panel(3, decay=0.8).sort_values(by, kind="stable")
    both = read(frame, **ORDER), streamed(frame, (101, *sizes))
    fits = [fitted(rows, model) for rows in both]
    one, other = (fit.joint_effect(POINTS).to_numpy() for fit in fits)
    np.testing.assert_allclose(other, one, atol=1e-8)
    assert fits[0].autocorrelation.next > 0.3
    said = [str(fit).split("Fitted")[0].split("rows are left out") for fit in fits]
    assert [len(own) for own in said] == [1 + (model is OPEN)] * 2


def test_weeks_of_equal_settings_differ_by_what_carries_over() -> None:
    """Memory sums equal rows once, and a stream does not."""
    frame = panel(5, decay=0.0)
    frame[NAMES] = (frame[NAMES] > 0).astype(float)
    before = frame.groupby("region")["tv"].shift(fill_value=0.0)
    frame["y"] += 2 * before - 0.8 * frame["tv"]
    model = bi.models.additive(carryover={"tv": bi.Adstock(0.0, delay=1, length=1)})
    both = read(frame, **ORDER), streamed(frame, (200,))
    (mean, sd), (other, _) = (
        moments(fitted(rows, model).contrast([[1, 0]], [[0, 0]])) for rows in both
    )
    assert mean == pytest.approx(other, abs=1e-6)
    assert abs(mean - 2) < 3 * sd


@pytest.mark.filterwarnings("ignore:groups of 'region' differ")
@pytest.mark.parametrize("groups", [(), ("region",)])
def test_a_long_stream_gives_what_memory_does(groups) -> None:
    """More rows than a sample holds, and more regions than have a column each."""
    panels = [panel(seed, 0.5).assign(panel=f"{seed}-") for seed in range(30)]
    frame = pd.concat(panels).assign(region=lambda t: t["panel"] + t["region"])
    frame = frame.sort_values("week", kind="stable")
    memory = fit_of(frame, groups=groups, **ORDER)
    stream = streamed(frame, (7000, 3500), groups=groups)
    np.testing.assert_allclose(effect_of(stream), memory.joint_effect(POINTS), atol=1e-8)
    assert memory.autocorrelation.inflation > 1.1


def test_workers_give_what_memory_does() -> None:
    frame = panel(3, decay=0.8)
    memory = read(frame, **ORDER)
    frame = frame.set_index("region", drop=False).rename_axis(None)
    halves = [frame.loc[f"r{i}" : f"r{i + 5}"] for i in range(0, REGIONS, 6)]
    local = {"processes": False, "threads_per_worker": 1, "silence_logs": 50}
    with (
        LocalCluster(n_workers=1, dashboard_address="localhost:0", **local) as cluster,
        Client(cluster) as client,
    ):
        parts = dd.concat([dd.from_pandas(half, npartitions=1) for half in halves])
        rows = bi.read(parts, NAMES, "y", client=client, progress=False, **ORDER)
        for model in (None, OPEN):
            effects = effect_of(rows, model), effect_of(memory, model)
            np.testing.assert_allclose(*effects, atol=1e-8)
        cut = dd.from_pandas(frame.sort_values("week"), npartitions=2, sort=False)
        words = r"rows of 'r0' are in two partitions, with 'week' 29 and 30; .*set_index\('region'"
        with pytest.raises(bi.DataError, match=words):
            bi.read(cut, NAMES, "y", client=client, progress=False, **ORDER)


def test_rows_out_of_order_are_refused() -> None:
    frame = panel(7, decay=0.0)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * frame["week"], unit="D")
    late = frame.assign(week=dates)
    late.iloc[[70, 75]] = late.iloc[[75, 70]]
    words = "rows of 'r1' are not in the order of 'week': 2024-03-(11|18) comes after 2024-04"
    # Within a batch, and in two.
    for sizes in ((5000,), (71,), (1,)):
        with pytest.raises(bi.DataError, match=words):
            streamed(late, sizes)
    # In memory any order does.
    assert len(bi.read(late, NAMES, "y", **ORDER)) == len(late)


def test_rows_that_change_their_order_between_passes_are_refused() -> None:
    frame = panel(3, decay=0.8)
    source = [frame]
    rows = bi.StreamedData.from_batches(
        lambda: source, NAMES, "y", "regime", progress=False, **ORDER
    )
    source[0] = frame[::-1]
    with pytest.raises(bi.DataError, match="not in the order of 'week'"):
        fitted(rows, OPEN)


def test_neighbours_in_a_stream_are_compared_too() -> None:
    for decay, warned in ((0.8, True), (0.0, False)):
        rows = bi.read([panel(5, decay=decay)], NAMES, "y", progress=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted(rows)
        assert any("neighbouring rows resemble" in str(w.message) for w in caught) == warned


def test_a_time_may_be_a_date_that_is_no_covariate() -> None:
    frame = panel(0, decay=0.8).assign(age=np.arange(REGIONS * WEEKS) % 7)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["week"], unit="D")
    both = frame, frame.assign(week=dates)
    effects = [effect_of(read(own, covariates=["age"], **ORDER)) for own in both]
    np.testing.assert_allclose(*effects)
