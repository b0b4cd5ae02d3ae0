import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import bayes_intgen as bi

ROOT = Path(__file__).parents[1]
ANSWERS = """
points = [[0.1, 0.2], [-0.4, 0.3]]
answers = (fit.joint_effect(points), fit.effect(points, ["red"]), fit.contrast(points, points[:1]),
           fit.mechanisms(points)["confounded"])
"""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_importing_touches_nothing_and_loads_what_is_used() -> None:
    program = (
        "import random, sys, numpy as np\n"
        "state = lambda: (random.getstate(), np.random.get_state()[1].tolist())\n"
        "before = state()\n"
        "import bayes_intgen\n"
        "assert before == state()\n"
        "print(*sys.modules, *dir(bayes_intgen))\n"
        "import jax\n"
        "before = state(), jax.config.jax_enable_x64\n"
        "bayes_intgen.fit\n"
        "assert before == (state(), jax.config.jax_enable_x64)\n"
        "print(*sys.modules)\n"
    )
    at_first, for_a_fit = ({*line.split()} for line in run(program).splitlines())
    late = {"jax", "numpyro", "xarray", "scipy", "bayes_intgen._version", "importlib.metadata"}
    assert not late & at_first
    assert "RegimeData" in at_first
    assert "scipy.linalg" in for_a_fit
    others = "matplotlib.pyplot arviz arviz_stats arviz_plots scipy.stats numpyro tqdm"
    assert not set(others.split()) & for_a_fit
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = bi.no_such_name


def test_saved_fits_give_the_same_answers_in_a_new_process_without_jax(posterior, tmp_path) -> None:
    posterior.save(tmp_path / "fit.nc")
    program = (
        "import sys, warnings, matplotlib, bayes_intgen as bi\n"
        "warnings.simplefilter('ignore')\n"
        "matplotlib.use('agg')\n"
        f"fit = bi.load({str(tmp_path / 'fit.nc')!r})\n"
        f"{ANSWERS}\n"
        "fit.outcome(points), fit.plot_joint_effect('red')\n"
        "print({'jax', 'numpyro'} & set(sys.modules))\n"
        "bi.fit\n"
        "print(sorted({'jax', 'numpyro'} & set(sys.modules)))\n"
        "print([own.to_numpy().tobytes() for own in answers])\n"
    )
    first, second, answers = run(program).splitlines()
    assert first == "set()"
    # Negative control: a name whose module needs JAX.
    assert "'jax'" in second
    space: dict[str, Any] = {"fit": posterior}
    exec(ANSWERS, space)
    assert answers == str([own.to_numpy().tobytes() for own in space["answers"]])


def only(pattern: str, file: str) -> str:
    """The only place of a file that fits a pattern."""
    (found,) = re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE)
    return found


def test_version_and_date_of_a_release_are_the_same_everywhere() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    latest, day = re.findall(r"^## (\S+) - (.+)$", changes, re.MULTILINE)[0]
    cited = only(r"^version: (.+)$", "CITATION.cff")
    packed = only(r'^  version: "(.+)"$', "recipe/recipe.yaml")
    assert [bi.__version__, latest, cited, packed] == [PROJECT["version"]] * 4
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
    (tmp_path / "bayes_intgen").mkdir()
    for name in ("__init__.py", "__init__.pyi", "_checkout.py"):
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


def test_one_family_of_errors() -> None:
    for error in (bi.DataError, bi.ModelError, bi.PointsError, bi.SavedFitError):
        assert {bi.BayesIntgenError, ValueError} < {*error.__mro__}


def test_platform_that_does_not_exist_is_named(data, tmp_path) -> None:
    labels = ["", "red", "green"]
    lines = [f"{i % 7},{i % 11},{i % 13},{labels[i % 3]}" for i in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["red,green,y,regime", *lines]))
    options = ["-y", "y", "-a", "red,green", "--prior", "linear", "-o"]
    command = [sys.executable, "-m", "bayes_intgen", "fit", str(tmp_path / "rows.csv")]
    result = subprocess.run(
        [*command, *options, str(tmp_path / "fit.nc")],
        env=os.environ | {"JAX_PLATFORMS": "cuda"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert "JAX cannot start on the platform 'cuda'" in result.stderr
    assert "set JAX_PLATFORMS=cpu" in result.stderr
