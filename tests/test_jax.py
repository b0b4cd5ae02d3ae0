import os
import subprocess
import sys
from multiprocessing import get_context

import bayes_intgen as bi


def fit_and_send(data, connection) -> None:
    try:
        bi.fit(data, bi.models.additive("linear"), draws=4, warmup=10, chains=1, progress=False)
        connection.send("fitted")
    except bi.BayesIntgenError as error:
        connection.send(str(error))


def test_fit_in_a_forked_child_raises_instead_of_hanging(posterior, data) -> None:
    """The parent has fitted, and its threads do not survive the fork."""
    context = get_context("fork")
    answer, connection = context.Pipe(duplex=False)
    child = context.Process(target=fit_and_send, args=(data, connection), daemon=True)
    child.start()
    has_answered = answer.poll(30)
    child.kill()
    assert has_answered
    assert 'get_context("spawn")' in answer.recv()


def test_platform_that_does_not_exist_is_named(data, tmp_path) -> None:
    labels = ["", "red", "green"]
    lines = [f"{i % 7},{i % 11},{i % 13},{labels[i % 3]}" for i in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["red,green,y,regime", *lines]))
    command = [sys.executable, "-m", "bayes_intgen.cli", "fit", str(tmp_path / "rows.csv")]
    result = subprocess.run(
        [
            *command,
            "-y",
            "y",
            "-a",
            "red,green",
            "-o",
            str(tmp_path / "fit.nc"),
            "--prior",
            "linear",
        ],
        env={**os.environ, "JAX_PLATFORMS": "cuda"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1, result.stderr
    assert "JAX cannot start on the platform 'cuda'" in result.stderr
    assert "set JAX_PLATFORMS=cpu" in result.stderr
