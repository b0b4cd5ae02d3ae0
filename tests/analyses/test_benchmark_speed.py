import json

import numpy as np
import pandas as pd
import pytest
from studies import assert_resumes, read, run

import _competitors
import benchmark_speed


@pytest.mark.slow
def test_a_quick_run_times_the_library_beside_nuts_on_rows(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("sklearn")
    run("benchmark_speed", monkeypatch, tmp_path)
    table = read(tmp_path / "benchmark_speed.csv")
    ours = table[table["what"] == "this library"].iloc[0]
    rows = table[table["what"] == "NumPyro"].iloc[0]
    assert (ours["times"], rows["times"]) == ("measured", "extrapolated")
    assert ours["rows"] == rows["rows"] == 300
    # Its time to 400 effective draws follows from those that it had in less than five seconds.
    assert 0 < rows["time"] <= 1.1 * 5 * 400 / rows["ess effect"]
    assert float(rows["ess/s"]) >= rows["ess effect"] / (1.1 * 5)
    assert float(ours["ess/s"]) == pytest.approx(ours["ess effect"] / ours["time"], rel=0.01)
    assert 0.05 < ours["error/limit"] < 5
    assert 0.1 < ours["peak GB"] < 8
    ridge = table[table["what"] == "scikit-learn"].iloc[0]
    # Not the memory of the process that starts it.
    assert 0.02 < ridge["peak GB"] < ours["peak GB"]
    assert 0.05 < ridge["error/limit"] < 5
    compared = read(tmp_path / "benchmark_speed_ratios.csv", "over").loc["scikit-learn"]
    assert compared["memory"] == pytest.approx(ours["peak GB"] / ridge["peak GB"], rel=0.01)
    assert compared["processor seconds"] > 1
    assert (tmp_path / "benchmark_speed.png").stat().st_size > 5000
    assert_resumes(benchmark_speed, tmp_path / "benchmark_speed.csv")
    assert "this library" in capsys.readouterr().out


def test_ratios_are_of_later_fits_of_one_model() -> None:
    def row(what: str, seed: int, **cells: str) -> dict[str, str]:
        empty = dict.fromkeys(benchmark_speed.COLUMNS, "")
        return {**empty, "what": what, "actions": "2", "rows": "9", "seed": str(seed), **cells}

    rows = [
        row("this library", 3, time="9", warm="2", **{"peak GB": "1"}),
        row("this library", 4, time="9", warm="6", **{"peak GB": "1"}),
        row("mgcv", 4, time="7", warm="3", **{"peak GB": "4"}),
        row("mgcv", 3, time="7", warm="4", **{"peak GB": "4"}),
        row("mgcv", 5, time="7", warm="1", **{"peak GB": "9"}),
        row("NumPyro", 3, time="200"),
    ]
    over_mgcv, over_numpyro = benchmark_speed.ratios(rows)
    expected = {"over": "mgcv", "models": 2, "seconds": "1.25", "memory": "0.25"}
    assert over_mgcv == over_mgcv | expected | {"processor seconds": ""}
    assert (over_numpyro["models"], over_numpyro["seconds"]) == (1, "0.01")


@pytest.mark.parametrize("package", ["sklearn", "pyfixest"])
def test_regressions_on_masked_cubics_find_the_joint_effect_of_cubics(package, tmp_path) -> None:
    pytest.importorskip(package)
    rng = np.random.default_rng(0)
    regime = rng.choice(["", "a", "b"], 3000)
    a, b = rng.normal(size=(2, 3000))
    bias = (regime != "a") * (1 + a**2) + (regime != "b") * (b - 2)
    frame = pd.DataFrame({"a": a, "b": b, "outcome": 3 + a**3 - b + bias, "regime": regime})
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "points.csv").write_text("a,b\n1,0.5\n-1,1\n")
    _competitors.main(package, tmp_path, "a", "b")
    answer = json.loads((tmp_path / "answer.json").read_text())
    np.testing.assert_allclose(answer["effect"], [3.5, 1.0], atol=0.02)
    assert len(answer["seconds"]) == 2


@pytest.mark.slow
def test_questions_to_a_saved_fit_are_timed_beside_an_import(tmp_path, monkeypatch) -> None:
    run("saved_fit_speed", monkeypatch, tmp_path)
    table = read(tmp_path / "saved_fit_speed.csv", "process")
    assert list(table.index[1:]) == ["bi.load and joint_effect", "bayes-intgen effect"]
    assert table.loc["import numpyro", "times import numpyro"] == 1
    assert (table["seconds"] > 0.1).all()


@pytest.mark.slow
def test_fits_on_clusters_are_timed_in_workers_and_at_the_client(tmp_path, monkeypatch) -> None:
    run("cluster_speed", monkeypatch, tmp_path)
    table = read(tmp_path / "cluster_speed_K2.csv", "workers")
    assert list(table.index) == [1, 2]
    assert table["bound"][1] == 1
    assert 0.5 < table["bound"][2] < 1
    rows_per_second = table["rows"] / table["workers, processor"]
    np.testing.assert_allclose(table["rows/s of a worker"], rows_per_second, rtol=0.1)
