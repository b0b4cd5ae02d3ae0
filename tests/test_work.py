"""Threads of BLAS while fits overlap, and progress on standard error."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import bayes_intgen as bi
from bayes_intgen._work import share_of_stage, single_blas_thread, stage

FIT = """
import bayes_intgen as bi
from conftest import confounded_rows
bi.fit(confounded_rows(60, seed=0))
"""


def test_a_log_has_one_line_per_stage(capsys) -> None:
    with stage("Reading", show=True, unit="rows") as count:
        assert capsys.readouterr().err == "Reading ... "
        count(10)
    with share_of_stage("Draws", show=True, expected=10) as share:
        share.update(3)
    assert re.fullmatch(r"[\d.]+ s\nDraws ... [\d.]+ s\n", capsys.readouterr().err)
    with pytest.raises(KeyboardInterrupt), stage("Reading", show=True):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "Reading ... stopped\n"
    with stage("Reading", show=False), share_of_stage("Draws", show=False, expected=1):
        pass
    assert capsys.readouterr().err == ""


def test_a_fit_reports_its_stages_and_compiles_once(data, capsys) -> None:
    settings = {"draws": 25, "warmup": 50, "chains": 2}
    once = ["Pilot fit", "Search for the mode"]
    chains = ["Compilation", "Warmup, first part", "Warmup, second part", "Draws of 2 chains"]
    few = data.take(slice(0, None, 2))
    bi.fit(few, **settings)
    stages = [line.split(" ... ")[0] for line in capsys.readouterr().err.splitlines()]
    assert stages == once + chains
    bi.fit(few, **settings)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ... ")[0] for line in lines] == once + chains
    assert "Compilation ... 0.0 s" in lines
    assert all(re.fullmatch(r".* \.\.\. \d+\.\d s", line) for line in lines)
    bi.fit(few, method="laplace")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ... ")[0] for line in lines] == [*once, "Laplace approximation"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_bars_on_a_terminal_never_run_backwards() -> None:
    termios = pytest.importorskip("termios")
    master, terminal = os.openpty()
    # 24 rows of 80 columns.
    termios.tcsetwinsize(terminal, (24, 80))
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", FIT], stderr=terminal) as process:
        os.close(terminal)
        pieces = []
        try:
            while piece := os.read(master, 65536):
                pieces.append(piece)
        except OSError:
            # The other end is closed.
            pass
    assert process.returncode == 0
    shown = b"".join(pieces).decode()
    assert "Compilation" in shown
    shares = [int(share) for share in re.findall(r"Draws of 4 chains: +(\d+)%", shown)]
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 100


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_overlapping_limits_leave_the_number_of_threads_unchanged() -> None:
    """One that ends while another runs keeps the limit; the last one restores the threads."""
    both_started, first_ended, checked = Barrier(2), Barrier(2), Barrier(2)
    seen = []

    def first() -> None:
        with single_blas_thread():
            both_started.wait(60)
        first_ended.wait(60)

    def second() -> None:
        with single_blas_thread():
            both_started.wait(60)
            first_ended.wait(60)
            seen.append(blas_threads())
        checked.wait(60)

    with threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as pool:
        assert blas_threads() == {2}
        running = [pool.submit(first), pool.submit(second)]
        checked.wait(60)
        assert blas_threads() == {2}
        for future in running:
            future.result()
    assert seen == [{1}]
