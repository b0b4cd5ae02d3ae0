import os
import re
import subprocess
import sys

import pytest

import bayes_intgen as bi
from bayes_intgen._progress import Share, share_of_stage, stage

FIT = """
import bayes_intgen as bi
from conftest import confounded_rows
bi.fit(confounded_rows(60, seed=0))
"""


def test_a_share_never_decreases() -> None:
    share = Share(expected=100)
    values = []
    for expected, steps in ((100, 60), (1000, 100), (1000, 440), (500, 0), (500, 10)):
        share.expect(expected)
        share.update(steps)
        values.append(share.value)
    assert values == [0.6, 0.6, 0.6, 1.0, 1.0]


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
