import logging
import os
import runpy
import signal
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import dask
import numpy as np
import pandas as pd
import pytest
from _sources import assert_same_rows, parquet
from dask import dataframe as dd
from distributed import Client, Event, LocalCluster, Queue, get_worker
from test_streamed import COLUMNS, table

import bayes_intgen as bi
from bayes_intgen.data import distributed
from bayes_intgen.data.files import ROWS_PER_READ
from bayes_intgen.inference.gaussian.passes import MIN_BINNED_ROWS, sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction

ROWS = 70_000
LOCAL = {
    "threads_per_worker": 1,
    "dashboard_address": "localhost:0",
    "silence_logs": logging.CRITICAL,
}


@pytest.fixture(scope="module")
def client():
    # A while after it has lost a worker, a cluster closes that worker's nanny if no worker of that
    # name is connected. By default this may fall into the restart after a second loss.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(n_workers=2, **LOCAL) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def one_worker():
    """A worker within this process."""
    with LocalCluster(n_workers=1, processes=False, **LOCAL) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def threads():
    """A worker with four threads within this process."""
    local = {**LOCAL, "threads_per_worker": 4}
    with LocalCluster(n_workers=1, processes=False, **local) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Ten files with three row groups each."""
    return parquet(table(ROWS), tmp_path_factory.mktemp("parquet"), files=10)


def of_files(paths, client: Client) -> bi.DistributedData:
    return bi.DistributedData.from_parquet(paths, *COLUMNS, client=client, progress=False)


def products(rows: bi.RegimeData) -> np.ndarray:
    columns = np.column_stack([np.ones(len(rows)), rows.actions, rows.outcome])
    return columns.T @ columns


def sums(data: bi.Rows, of_batch=products) -> np.ndarray:
    return data.map_reduce(of_batch, np.add, "Sums", False)


def assert_close(one, other) -> None:
    # Terms of opposite sign may cancel in a sum.
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15 * np.abs(other).max())


def test_rows_and_sample_equal_those_of_one_process(paths, client) -> None:
    data = of_files([os.path.relpath(path) for path in paths], client)
    assert len(data._partitions) == 10
    whole = bi.RegimeData.from_frame(table(ROWS), *COLUMNS)
    stream = bi.StreamedData.from_parquet(paths, *COLUMNS, progress=False)
    assert repr(data) == repr(whole).replace("RegimeData", "DistributedData")
    assert data.identify(["x", "y"]) == whole.identify(["x", "y"])
    assert_same_rows(data.in_memory, stream.in_memory)
    for rows in (30_000, 500):
        assert_same_rows(data.sample(rows), whole.sample(rows))
    read = list(data.batches(5000))
    assert max(map(len, read)) == 5000
    np.testing.assert_array_equal(np.concatenate([b.actions for b in read]), whole.actions)


# One level of the tree of results, two and three.
@pytest.mark.parametrize("files", [3, 10, 70])
def test_sums_equal_those_of_one_process_for_any_number_of_workers(
    client, one_worker, tmp_path, files
) -> None:
    frame = table(7000)
    paths = parquet(frame, tmp_path, files)
    one, other = (sums(of_files(paths, workers)) for workers in (client, one_worker))
    assert one.tobytes() == other.tobytes()
    assert_close(one, sums(bi.RegimeData.from_frame(frame, *COLUMNS)))


def test_sums_of_a_fit_are_the_same_for_workers_threads_and_in_memory(
    paths, client, one_worker, threads
) -> None:
    whole = bi.RegimeData.from_frame(table(ROWS), *COLUMNS)
    assert ROWS > MIN_BINNED_ROWS
    terms = bi.models.additive().decompose(whole)

    def matrix(data: bi.Rows, binned: bool = True) -> np.ndarray:
        spread = VarianceFunction()
        return sufficient_statistics(data, terms, spread, progress=False, binned=binned).xx

    one, *others = (matrix(of_files(paths, own)) for own in (client, one_worker, threads))
    assert all(one.tobytes() == other.tobytes() for other in others)
    size = np.sqrt(np.diag(one))
    error = np.abs(np.array([matrix(whole), matrix(whole, False)]) - one) / np.outer(size, size)
    # Sums without bins are others.
    assert error[0].max() < 1e-7
    assert error[1].max() > 1e-6


def test_partitions_without_rows_or_without_complete_ones_are_skipped(one_worker) -> None:
    rows = table(300)
    rows["z"] = rows["z"].where(rows.index // 100 != 1)
    some = dd.from_pandas(rows, npartitions=3)
    none = some[some["x"] > 1e9]
    frame = dd.concat([none, some, none])
    with pytest.warns(bi.DataWarning, match="100 of 300 rows"):
        data = bi.read(frame, *COLUMNS, client=one_worker, missing="drop", progress=False)
    assert len(data._partitions) == 9
    whole = bi.RegimeData.from_frame(rows.dropna(subset="z"), *COLUMNS)
    np.testing.assert_array_equal(data.in_memory.actions, whole.actions)
    assert_close(sums(data), sums(whole))


def test_unreadable_and_changing_sources_raise(one_worker, tmp_path) -> None:
    (tmp_path / "not.parquet").write_text("x,y,z")
    for path in (tmp_path / "absent.parquet", tmp_path / "not.parquet"):
        with pytest.raises(bi.DataError, match=r"\.parquet cannot be read"):
            of_files(path, one_worker)
    table(0).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(bi.DataError, match="no rows"):
        of_files(tmp_path / "rows.parquet", one_worker)
    table(300).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(bi.DataError, match="must be a dask.dataframe.DataFrame, not DataFrame"):
        bi.DistributedData.from_dask(pd.DataFrame(), *COLUMNS, client=one_worker)
    data = of_files(tmp_path / "rows.parquet", one_worker)
    frame = table(300)
    for changed, message in (
        (frame.assign(z=-frame["z"]), "held other values"),
        (frame.assign(z=frame["z"].where(frame.index != 7)), "now holds unusable cells"),
        (frame[:200], "300 rows when it was first read and 200 now"),
    ):
        changed.to_parquet(tmp_path / "rows.parquet")
        with pytest.raises(bi.DataError, match=message):
            sums(data)


@pytest.mark.parametrize("kind", ["stream", "cluster"])
def test_rows_of_a_regime_that_is_new_in_the_source_raise(kind, one_worker, tmp_path) -> None:
    frame, path = table(MIN_BINNED_ROWS), tmp_path / "rows.parquet"
    frame.to_parquet(path)
    cluster = {"client": one_worker} if kind == "cluster" else {}
    data = bi.read(path, *COLUMNS, **cluster, progress=False)
    frame.assign(regime=frame["regime"].where(frame.index != 7, "x,y")).to_parquet(path)
    terms = bi.models.additive("linear").decompose(data.in_memory)
    with pytest.raises(bi.DataError, match=r"another regime, do\(x, y\).*make the data again"):
        sufficient_statistics(data, terms, VarianceFunction(), progress=False)


def doubled(rows: bi.RegimeData) -> bi.RegimeData:
    return replace(rows, outcome=2 * rows.outcome)


@pytest.mark.parametrize("kind", ["memory", "stream", "cluster"])
def test_another_outcome_is_computed_whenever_rows_are_read(kind, one_worker) -> None:
    frame = table(300)
    if kind == "cluster":
        rows = bi.read(dd.from_pandas(frame, npartitions=3), *COLUMNS, client=one_worker)
    else:
        rows = bi.read(frame if kind == "memory" else [frame[:99], frame[99:]], *COLUMNS)
    other = rows.with_outcome(doubled).with_outcome(doubled)
    expected = 4 * frame["z"].to_numpy()
    np.testing.assert_array_equal(other.in_memory.outcome, expected)
    read_again = np.concatenate([batch.outcome for batch in other.batches(50)])
    np.testing.assert_array_equal(read_again, expected)
    np.testing.assert_allclose(sums(other)[0, [0, 3]], [300, expected.sum()])
    # The rows themselves are unchanged.
    np.testing.assert_array_equal(rows.in_memory.outcome, frame["z"])


CALLED: list[str] = []


def noted(rows: bi.RegimeData) -> bi.RegimeData:
    CALLED.append("read")
    return rows


def noted_products(rows: bi.RegimeData) -> np.ndarray:
    CALLED.append("summed")
    return products(rows)


def test_rows_of_a_partition_are_summed_as_they_are_read(one_worker, tmp_path) -> None:
    table(3 * ROWS_PER_READ).to_parquet(tmp_path / "rows.parquet")
    data = of_files(tmp_path / "rows.parquet", one_worker).with_outcome(noted)
    assert len(data._partitions) == 1
    CALLED.clear()
    sums(data, noted_products)
    assert CALLED.count("read") == 3
    assert "summed" in CALLED[: CALLED.index("read", 1)]


def test_a_file_is_a_partition_if_rows_have_a_time(one_worker, paths, tmp_path) -> None:
    roles = {"client": one_worker, "time": "day", "unit": "file", "progress": False}
    files = [tmp_path / path.name for path in paths[:3]]
    for i, (path, file) in enumerate(zip(paths[:3], files, strict=True)):
        dated = pd.read_parquet(path).assign(file=f"f{i}", day=lambda rows: range(len(rows)))
        dated.to_parquet(file, row_group_size=500)
    data = bi.read(files, *COLUMNS, **roles)
    assert len(data._partitions) == 3
    with pytest.raises(bi.DataError, match="are in two partitions"):
        bi.read([*files, files[0]], *COLUMNS, **roles)


@pytest.mark.filterwarnings("ignore:the fit does not follow")
def test_units_and_groups_reach_workers_in_other_processes(client) -> None:
    frame = table(1200).assign(day=np.arange(1200) % 100)
    frame["shop"] = [f"s{i // 100}" for i in range(1200)]
    parts = dd.concat([dd.from_pandas(half, npartitions=1) for half in (frame[:500], frame[500:])])
    roles = {"groups": ["shop"], "unit": "shop", "time": "day", "progress": False}
    model = bi.models.additive("linear", carryover={"x": bi.Adstock(0.5)})
    one, other = (
        bi.fit(bi.read(source, *COLUMNS, **roles, **more), model, method="laplace", progress=False)
        for source, more in ((frame, {}), (parts, {"client": client}))
    )
    effects = [fit.joint_effect([[0.5, -0.5], [1, 0]]).to_numpy() for fit in (one, other)]
    np.testing.assert_allclose(*effects, atol=1e-8)


def test_closed_client_is_refused(tmp_path) -> None:
    client = Client(processes=False, n_workers=1, dashboard_address=None)
    table(300).to_parquet(tmp_path / "rows.parquet")
    data = of_files(tmp_path / "rows.parquet", client)
    client.close()
    file = tmp_path / "rows.parquet"
    for use in (lambda: sums(data), lambda: [*data.batches(10)], lambda: of_files(file, client)):
        with pytest.raises(bi.DataError, match="Dask client is closed; connect again"):
            use()


def test_error_without_dask_names_the_remedy(one_worker, paths, monkeypatch) -> None:
    for name in ("dask", "dask.dataframe", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    module = runpy.run_path(distributed.__file__)
    with pytest.raises(bi.DataError, match=r"pip install 'bayes-intgen\[dask\]'"):
        module["DistributedData"].from_parquet(paths, *COLUMNS, client=one_worker)


CALLS = Counter()


def killed(source: str, rows: bi.RegimeData) -> bi.RegimeData:
    """Let a process that has read rows before wait to be killed."""
    CALLS[source] += 1
    done = Event(f"{source} killed")
    if CALLS[source] > 1 and not done.is_set():
        Queue(f"{source} waits").put(os.getpid())
        done.wait()
    return rows


def late(_: str, rows: bi.RegimeData) -> bi.RegimeData:
    """Let one of two workers take its time."""
    time.sleep(0.2 if get_worker().name == 0 else 0)
    return rows


def failing(source: str, rows: bi.RegimeData) -> bi.RegimeData:
    """Fail at the first attempt of a process to read the rows."""
    CALLS[source, rows.digest] += 1
    if CALLS[source, rows.digest] == 1:
        raise OSError("the connection was reset")
    return rows


def on_workers(function, source: str, rows: bi.RegimeData) -> bi.RegimeData:
    """Call a function on workers, not on the client, which transforms the sample."""
    try:
        get_worker()
    except ValueError:
        return rows
    return function(source, rows)


def fitted(data: bi.Rows, function=lambda _, rows: rows, source: str = "") -> np.ndarray:
    """Draws of a fit whose workers call a function whenever they have read rows."""
    data = data.with_outcome(partial(on_workers, function, source))
    with warnings.catch_warnings(action="ignore", category=bi.BayesIntgenWarning):
        posterior = bi.fit(data, method="laplace", progress=False)
    return posterior.joint_effect([[0.5, 1.0]]).to_numpy()


def source_of(name: str, paths, client: Client) -> bi.DistributedData:
    if name == "files":
        return of_files(paths, client)
    frame = dd.from_pandas(table(ROWS), npartitions=9)
    return bi.DistributedData.from_dask(frame, *COLUMNS, client=client, progress=False)


@pytest.fixture(scope="module", params=["files", "frame"])
def source(request, paths, client, one_worker) -> tuple[str, bi.DistributedData, bytes]:
    """Name, rows on two workers, and the draws of an undisturbed fit on one."""
    alone = fitted(source_of(request.param, paths, one_worker)).tobytes()
    return request.param, source_of(request.param, paths, client), alone


@pytest.mark.slow
def test_slow_workers_and_attempts_that_fail_do_not_change_a_fit(source) -> None:
    name, data, undisturbed = source
    assert fitted(data, late).tobytes() == undisturbed
    with dask.annotate(retries=3):
        assert fitted(data, failing, name).tobytes() == undisturbed
    with pytest.raises(OSError, match="the connection was reset"):
        fitted(data, failing, f"{name} again")


@pytest.mark.slow
def test_killed_worker_does_not_change_a_fit(source, client) -> None:
    name, data, undisturbed = source
    done, queue = Event(f"{name} killed", client), Queue(f"{name} waits", client)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fitted, data, killed, name)
        try:
            victim = queue.get(timeout=60)
            os.kill(victim, signal.SIGKILL)
        finally:
            # Release waiting tasks even after a failure.
            done.set()
        assert running.result(timeout=120).tobytes() == undisturbed
    client.wait_for_workers(2, timeout=240)
    assert victim not in {nanny.pid for nanny in client.cluster.workers.values()}
