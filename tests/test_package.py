import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bayes_intgen as bi

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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
        "bi.fit\n"
        "print(sorted({'jax', 'numpyro'} & set(sys.modules)))\n"
    )
    first, second = run(program).splitlines()
    assert first == "set()"
    # Negative control: a name whose module needs JAX.
    assert "'jax'" in second


def only(pattern: str, file: str) -> str:
    """The only place of a file that fits a pattern."""
    (found,) = re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE)
    return found


def test_version_is_the_same_everywhere() -> None:
    latest = re.findall(r"^## (\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    cited = only(r"^version: (.+)$", "CITATION.cff")
    packed = only(r'^  version: "(.+)"$', "recipe/recipe.yaml")
    assert [bi.__version__, latest, cited, packed] == [PROJECT["version"]] * 4


def test_a_release_has_one_date() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    day = re.findall(r"^## \S+ - (.+)$", changes, re.MULTILINE)[0]
    assert day in ("unreleased", only(r"^date-released: (\d{4}-\d\d-\d\d)$", "CITATION.cff"))


def test_names_and_address_are_the_same_everywhere() -> None:
    address = PROJECT["urls"]["Repository"]
    assert only("^repository-code: (.+)$", "CITATION.cff") == address
    assert only("^  repository: (.+)$", "recipe/recipe.yaml") == address
    assert all(url.startswith(address) for url in PROJECT["urls"].values())
    assert PROJECT["authors"] == [{"name": only("^  - name: (.+)$", "CITATION.cff")}]


def test_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    block = only(r"^  run:\n((?:    - .+\n)+)", "recipe/recipe.yaml")
    least = only(r'^  python_min: "(.+)"$', "recipe/recipe.yaml")
    asked = block.replace("${{ python_min }}", least).replace(" ", "").split("\n-")
    python = f"python{PROJECT['requires-python']}"
    # Packages that need matplotlib, and no window, ask conda for its base.
    others = [one.replace("matplotlib>", "matplotlib-base>") for one in PROJECT["dependencies"]]
    assert sorted(one.strip("-\n") for one in asked) == sorted([python, *others])
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert only(r"^    - (setuptools .+)$", "recipe/recipe.yaml").replace(" ", "") in build
    (command,) = PROJECT["scripts"].items()
    assert only(r"^      - (\S+ = .+)$", "recipe/recipe.yaml") == " = ".join(command)


def test_hooks_format_with_the_locked_version() -> None:
    hook = only(r"/ruff-pre-commit\n(?:    #.*\n)?    rev: v(.+)$", ".pre-commit-config.yaml")
    assert hook == only(r'^name = "ruff"\nversion = "(.+)"$', "uv.lock")


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
