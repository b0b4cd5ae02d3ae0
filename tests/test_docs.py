"""Examples, commands, settings and names in the documentation, and the form of the paper."""

import inspect
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.cli.commands import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
MODULES = {"": bi, "datasets.": bi.datasets, "models.": bi.models, "simulators.": bi.simulators}


def blocks_of(page: Path, language: str) -> list[str]:
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.S | re.M)
    return [re.sub(f"^{indent}", "", block, flags=re.M) for indent, block in blocks]


def commands_of(page: Path) -> list[str]:
    lines = "".join(blocks_of(page, "sh")).replace("\\\n", " ").splitlines()
    return [line[line.index("bayes-intgen ") :] for line in lines if "bayes-intgen " in line]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page, "python")], ids=lambda page: page.stem
)
def test_examples_run(page, request, tmp_path, monkeypatch) -> None:
    """Pages use the fixtures `data` and `posterior`; the build runs those with outputs."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"bi": bi, "np": np, "pd": pd}
    space |= {name: request.getfixturevalue(name) for name in ("data", "posterior")}
    exec("\n".join(blocks_of(page, "python")), space)
    plt.close("all")


@pytest.mark.parametrize(
    "command", [own for page in (*PAGES, ROOT / "README.md") for own in commands_of(page)]
)
def test_commands_have_options_that_exist(command: str) -> None:
    words = shlex.split(re.split(r" [|>] ", command)[0], comments=True)[1:]
    words = ["./-" if word == "-" else word for word in words]
    function, _, unused = app.parse_args(words, exit_on_error=False, print_error=False)[:3]
    assert function is app[words[0]].default_command
    assert not unused


def test_documented_defaults_are_those_of_the_code() -> None:
    """The default priors in the table of the page on priors."""
    page = (DOCS / "how-to" / "priors.md").read_text()
    gp = bi.GP()
    for prior, unit in (
        (gp.scale, "sd of the outcome"), (gp.slope, "the same"), (gp.cross_action, "the same"),
        (gp.interaction, "the same"), (gp.lengthscale, "robust sd of the action"),
        (bi.models.additive().noise_scale, "sd of the outcome"),
    ):  # fmt: skip
        assert f"| {unit} | {prior.median:g}, sigma {prior.sigma:g} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_named_in_pages_exist(page) -> None:
    for name in re.findall(r"`(?:python )?(analyses/[\w./]+)", page.read_text()):
        assert (ROOT / name).exists(), name


def public_names() -> set[str]:
    """Names that users may import, and what posteriors have."""
    named = {
        f"{prefix}{name}"
        for prefix, module in MODULES.items()
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name)) and name != "__version__"
    }
    return named | {f"Posterior.{name}" for name in dir(bi.Posterior) if name[0] != "_"}


def test_the_reference_has_every_public_name_once() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    entries = re.findall(r"^\.\. auto\w+:: (?:bayes_intgen\.)?(\S+)", pages, flags=re.M)
    assert public_names() <= {*entries}
    assert len(entries) == len({*entries})


@pytest.mark.skipif(not shutil.which("Rscript"), reason="no R: apt-get install r-cran-mgcv")
def test_code_in_r_prints_what_the_page_says(tmp_path) -> None:
    page = DOCS / "tutorials" / "r_users.md"
    bi.datasets.light_tunnel().frame.to_csv(tmp_path / "rows.csv")
    printed = subprocess.check_output(["Rscript", "-e", *blocks_of(page, "r")], cwd=tmp_path)
    mean, error = map(float, re.findall(rb"\b1 \n(\S+)", printed))
    assert f"It prints {mean:,.0f} with a standard error of {error:.0f}," in page.read_text()


# The paper has the form of the Journal of Open Source Software.
PAPER = ROOT / "paper"
PAPER_TEXT = (PAPER / "paper.md").read_text()
ENTRIES = dict(
    re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", (PAPER / "paper.bib").read_text(), re.M | re.S)
)


def test_cited_works_are_those_of_the_bibliography_with_an_identifier_or_an_address() -> None:
    assert set(re.findall(r"@(\w+)", PAPER_TEXT)) == set(ENTRIES)
    place = re.compile(r"^  (doi = \{10\.\d{4,}/\S+\}|url = \{https://\S+\})$", re.MULTILINE)
    assert not [name for name, fields in ENTRIES.items() if not place.search(fields)]


def test_figures_and_their_programs_exist() -> None:
    figures = re.findall(r"\]\((\S+\.png)\)", PAPER_TEXT)
    programs = re.findall(r"`python (analyses/\w+\.py)`", PAPER_TEXT)
    assert len(figures) == len(programs) == 2
    assert all((PAPER / figure).exists() for figure in figures)
    assert all((PAPER.parent / program).exists() for program in programs)


def test_length_is_what_the_journal_asks_for() -> None:
    *_, body = PAPER_TEXT.split("---\n", 2)
    assert 750 <= len(body.split()) <= 1_500
