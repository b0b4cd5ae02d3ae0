"""The paper in the form of the Journal of Open Source Software: references, figures and length."""

import re
from pathlib import Path

PAPER = Path(__file__).parents[1] / "paper"
TEXT = (PAPER / "paper.md").read_text()
ENTRIES = dict(
    re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", (PAPER / "paper.bib").read_text(), re.M | re.S)
)


def test_cited_works_are_those_of_the_bibliography() -> None:
    assert set(re.findall(r"@(\w+)", TEXT)) == set(ENTRIES)


def test_every_work_has_an_identifier_or_an_address() -> None:
    place = re.compile(r"^  (doi = \{10\.\d{4,}/\S+\}|url = \{https://\S+\})$", re.MULTILINE)
    assert not [name for name, fields in ENTRIES.items() if not place.search(fields)]


def test_figures_and_their_programs_exist() -> None:
    figures = re.findall(r"\]\((\S+\.png)\)", TEXT)
    programs = re.findall(r"`python (analyses/\w+\.py)`", TEXT)
    assert len(figures) == len(programs) == 2
    assert all((PAPER / figure).exists() for figure in figures)
    assert all((PAPER.parent / program).exists() for program in programs)


def test_length_is_what_the_journal_asks_for() -> None:
    *_, body = TEXT.split("---\n", 2)
    assert 750 <= len(body.split()) <= 1_500
