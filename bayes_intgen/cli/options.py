"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

columns = Group("Columns", sort_key=10)
model = Group("Model", sort_key=20)
sampling = Group("Sampling", sort_key=30)

Format = Annotated[
    Literal["table", "csv", "json"], Parameter(name="--format", help="How to print the result.")
]
TableOrJson = Annotated[
    Literal["table", "json"], Parameter(name="--format", help="How to print the result.")
]
Data = Annotated[Path, Parameter(help="CSV, Parquet or Arrow (Feather) file.")]
Fit = Annotated[Path, Parameter(help="A fit written by `bayes-intgen fit` or posterior.save.")]
Outcome = Annotated[
    str, Parameter(name=["--outcome", "-y"], help="Column of the outcome.", group=columns)
]
Actions = Annotated[
    list[str] | None,
    Parameter(
        name=["--actions", "-a"],
        help="Columns of the actions, separated by commas; by default all other columns of "
        "numbers. Text, booleans and categories are levels.",
        group=columns,
        negative=(),
    ),
]
Regime = Annotated[
    str,
    Parameter(
        name=["--regime", "-r"], help="Column that says what was set in each row.", group=columns
    ),
]
Graph = Annotated[
    list[str] | None,
    Parameter(
        name="--graph",
        help="Which actions affect which, as child=parent,parent for each child that has parents; "
        "none: no action affects another. Unknown by default.",
        group=model,
        negative=(),
    ),
]
Prior = Annotated[
    Literal["gp", "spline", "polynomial", "linear"],
    Parameter(name="--prior", help="Prior of every function.", group=model),
]
Level = Annotated[float, Parameter(name="--level", help="Probability of the bands.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="File to write.")]
