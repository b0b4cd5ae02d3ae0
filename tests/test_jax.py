import os
import subprocess
import sys


def test_platform_that_does_not_exist_is_named(data, tmp_path) -> None:
    labels = ["", "red", "green"]
    lines = [f"{i % 7},{i % 11},{i % 13},{labels[i % 3]}" for i in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["red,green,y,regime", *lines]))
    options = ["-y", "y", "-a", "red,green", "--prior", "linear", "-o"]
    command = [sys.executable, "-m", "bayes_intgen", "fit", str(tmp_path / "rows.csv")]
    result = subprocess.run(
        [*command, *options, str(tmp_path / "fit.nc")],
        env={**os.environ, "JAX_PLATFORMS": "cuda"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1, result.stderr
    assert "JAX cannot start on the platform 'cuda'" in result.stderr
    assert "set JAX_PLATFORMS=cpu" in result.stderr
