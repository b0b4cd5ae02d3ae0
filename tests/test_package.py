import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bayes_intgen as bi


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_importing_touches_nothing() -> None:
    program = (
        "import random, numpy as np, jax\n"
        "state = lambda: (random.getstate(), np.random.get_state()[1].tolist(),\n"
        "                 jax.config.jax_enable_x64)\n"
        "before = state()\n"
        "import bayes_intgen\n"
        "assert before == state()\n"
    )
    assert run(program) == ""


def test_importing_leaves_what_a_fit_may_not_need_for_later() -> None:
    loaded = run("import sys, bayes_intgen; bayes_intgen.fit; print(*sys.modules)").split()
    assert "scipy.linalg" in loaded
    others = "matplotlib.pyplot arviz arviz_stats arviz_plots scipy.stats numpyro tqdm"
    assert not set(others.split()) & set(loaded)


def test_names_are_imported_when_they_are_first_used() -> None:
    loaded = run("import sys, bayes_intgen; print(*sys.modules, *dir(bayes_intgen))").split()
    late = {"jax", "numpyro", "xarray", "scipy", "bayes_intgen._version", "importlib.metadata"}
    assert not late & set(loaded)
    assert "RegimeData" in loaded
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = bi.no_such_name


def test_saved_fits_answer_without_jax(posterior, tmp_path) -> None:
    fit = tmp_path / "fit.nc"
    posterior.save(fit)
    program = (
        "import sys, warnings, matplotlib, bayes_intgen as bi\n"
        "warnings.simplefilter('ignore')\n"
        "matplotlib.use('agg')\n"
        f"fit = bi.load({str(fit)!r})\n"
        "points = [[0.0] * len(fit.terms.names), [0.1] * len(fit.terms.names)]\n"
        "fit.joint_effect(points), fit.outcome(points), fit.contrast(points[:1], points[1:])\n"
        "fit.plot_joint_effect(fit.terms.names[0])\n"
        "print({'jax', 'numpyro'} & set(sys.modules))\n"
        "bi.prior_predictive\n"
        "print(sorted({'jax', 'numpyro'} & set(sys.modules)))\n"
    )
    first, second = run(program).splitlines()
    assert first == "set()"
    # Negative control: a name whose module needs both.
    assert second == "['jax', 'numpyro']"


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert bi.__version__ == project["version"]


def test_checkout_without_symbolic_links_fails_with_instructions(tmp_path) -> None:
    """As on Windows: bayes_intgen/models is a file with the text ../models."""
    source = Path(bi.__file__).parent
    for name in ("__init__.py", "__init__.pyi", "_checkout.py"):
        (tmp_path / "bayes_intgen").mkdir(exist_ok=True)
        shutil.copy(source / name, tmp_path / "bayes_intgen" / name)
    shutil.copy(source.parent / "setup.py", tmp_path / "setup.py")
    for program in ("import bayes_intgen", "import setup"):
        (tmp_path / "bayes_intgen" / "models").write_text("../models")
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode != 0
        assert "git config core.symlinks true" in done.stderr
        (tmp_path / "bayes_intgen" / "models").unlink()
    # Negative control: nothing is wrong without the file.
    subprocess.run([sys.executable, "-c", "import bayes_intgen"], check=True, cwd=tmp_path)


@pytest.mark.parametrize("name", bi.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert (getattr(bi, name).__doc__ or "").strip()


def test_one_family_of_errors() -> None:
    for error in (bi.DataError, bi.ModelError, bi.PointsError, bi.SavedFitError):
        assert issubclass(error, bi.BayesIntgenError)
        assert issubclass(error, ValueError)
