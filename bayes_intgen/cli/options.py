"""Arguments and options of the commands."""

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
        help="Columns of the actions, separated by commas; without them `describe` proposes some. "
        "Text, booleans and categories are levels.",
        group=columns,
        negative=(),
    ),
]
Regime = Annotated[
    str,
    Parameter(
        name=["--regime", "-r"], help="Column of the actions set in each row.", group=columns
    ),
]
RegimeOfFit = Annotated[
    str | None,
    Parameter(
        name=["--regime", "-r"],
        help="Column of the actions set in each row of --data; by default that of the fit.",
    ),
]
Covariates = Annotated[
    list[str] | None,
    Parameter(
        help="Columns of observed causes that no action changes, such as season,age.",
        group=columns,
        negative=(),
    ),
]
Groups = Annotated[
    list[str] | None,
    Parameter(
        help="Columns of units whose rows belong together, such as region,patient.",
        group=columns,
        negative=(),
    ),
]
Weights = Annotated[
    str | None,
    Parameter(help="Column of the number of units of which a row is the mean.", group=columns),
]
OutcomeSd = Annotated[
    str | None,
    Parameter(
        help="Column of the standard deviation of the outcome among these units.", group=columns
    ),
]
Missing = Annotated[
    Literal["error", "drop", "level"],
    Parameter(
        help="Rows with missing cells: an error, left out, or those of text covariates a level.",
        group=columns,
    ),
]
Graph = Annotated[
    list[str] | None,
    Parameter(
        name="--graph",
        help="Which actions affect which, as child=parent,parent for each child that has parents, "
        "child=? where they are unknown; none: no action affects another; any: each may affect "
        "every other. By default the rows in which an action was set show which it affects.",
        group=model,
        negative=(),
    ),
]
Interactions = Annotated[
    list[str] | None,
    Parameter(
        name="--interactions",
        help="Pairs of actions that interact, as tv,radio; none: no pair interacts; by default "
        "those for which there is evidence.",
        group=model,
        negative=(),
    ),
]
Moderators = Annotated[
    list[str] | None,
    Parameter(
        name="--moderators",
        help="Actions whose effects depend on covariates, as drug:age,drug:sex.",
        group=model,
        negative=(),
    ),
]
Prior = Annotated[
    Literal["gp", "spline", "polynomial", "linear"],
    Parameter(name="--prior", help="Prior of every function.", group=model),
]
Multiplicative = Annotated[
    bool,
    Parameter(
        name="--multiplicative",
        help="The outcome is positive and its logarithm adds up: revenue, durations.",
        group=model,
        negative=(),
    ),
]
Noise = Annotated[
    Literal["gaussian", "student_t"],
    Parameter(help="Student-t is robust to outliers, and slow.", group=model),
]
Method = Annotated[
    Literal["nuts", "laplace"],
    Parameter(
        help="laplace: a fraction of the time, for previews; Pareto k says whether to trust it.",
        group=sampling,
    ),
]
Seed = Annotated[int, Parameter(help="The same seed gives the same fit.", group=sampling)]
Chains = Annotated[int, Parameter(help="Number of chains.", group=sampling)]
Draws = Annotated[
    int | None,
    Parameter(help="Draws per chain; by default as many as convergence requires.", group=sampling),
]
Warmup = Annotated[int, Parameter(help="Iterations that only adapt the sampler.", group=sampling)]
TargetAccept = Annotated[
    float,
    Parameter(help="Nearer to 1: smaller steps, which remove divergences.", group=sampling),
]
Checkpoint = Annotated[
    Path | None,
    Parameter(
        help="File for the sums over all rows: the same command samples again after a fit that "
        "was interrupted or killed, without reading them again.",
        group=sampling,
    ),
]
Strict = Annotated[
    bool,
    Parameter(help="Exit with 3 if the draws are not reliable.", group=sampling, negative=()),
]
Set = Annotated[
    list[str] | None,
    Parameter(
        name=["--set", "-s"],
        help="Values or levels to set, as tv=2,drug=on; repeat it for further points. Other "
        "actions are set to a supported point near their medians.",
        negative=(),
    ),
]
Points = Annotated[
    Path | None,
    Parameter(help="File of points to set: CSV, Parquet or Arrow, a column per action."),
]
From = Annotated[
    str | None,
    Parameter(
        name=["--from", "-f"],
        help="Also give the change from here, as tv=1. Other actions stay as in --set.",
    ),
]
Observed = Annotated[
    str | None, Parameter(help="Values of actions that are observed and not set, as print=3.")
]
Axes = Annotated[
    list[str] | None,
    Parameter(name=["--action", "-a"], help="Actions to plot along; all by default.", negative=()),
]
At = Annotated[
    str | None,
    Parameter(
        help="Values of the other actions, as radio=1; by default a supported point near "
        "their medians."
    ),
]
Given = Annotated[
    list[str] | None,
    Parameter(
        help="Covariates and groups at which effects are evaluated, as age=40,region=north; "
        "averages over the observational rows in the others. Repeat it with further values of one "
        "for their average; region='new group' is a group that is not in the data.",
        negative=(),
    ),
]
Population = Annotated[
    Path | None,
    Parameter(
        help="File of rows over which effects are averaged: CSV, Parquet or Arrow, a column per "
        "covariate and grouping. With 'bootstrap', intervals include that the observational rows "
        "are a sample of their population."
    ),
]
DataToCheck = Annotated[
    Path | None, Parameter(help="The data of the fit: the report then checks the assumptions.")
]
HeldOut = Annotated[
    float,
    Parameter(
        help="Share of the rows on which the model is compared with a regression per regime; "
        "0 skips the comparison, which takes most of the time."
    ),
]
Cost = Annotated[
    str | None, Parameter(help="Cost per unit of actions, as tv=1,radio=0.4; 0 for the others.")
]
Budget = Annotated[float | None, Parameter(help="Largest total cost; no limit by default.")]
Bounds = Annotated[
    str | None,
    Parameter(
        help="Values to choose from, as tv=0..60,drug=off|on, or one to hold the action there, as "
        "tv=30; by default all that rows support."
    ),
]
Baseline = Annotated[
    str | None,
    Parameter(help="Plan to compare with, as tv=30; the medians of actions that are not named."),
]
Risk = Annotated[
    str, Parameter(help="Objective: mean, cvar=0.1 (worst tenth of the draws), or quantile=0.1.")
]
BeyondSupport = Annotated[
    bool, Parameter(help="Also consider plans that no rows support.", negative=())
]
PlannedExperiments = Annotated[
    list[str] | None,
    Parameter(
        name=["--experiment", "-e"],
        help="Experiment to rank, as radio:500:3 (actions, rows, cost), tv+radio=0|20:500, or "
        "history:1000; repeat it.",
        negative=(),
    ),
]
PlannedRows = Annotated[
    int | None,
    Parameter(name="--rows", help="Number of further rows; of each experiment that names none."),
]
Horizon = Annotated[
    float, Parameter(help="Number of units to which the plan will apply; multiplies its value.")
]
Width = Annotated[
    float | None, Parameter(help="Mean width of the intervals; the rows that it needs are split.")
]
RowCost = Annotated[
    str | None,
    Parameter(
        help="Cost of a row per regime, as tv=3,tv+radio=5,history=0.1; 1 for the others. "
        "--rows is then the number of rows at a cost of 1 that would cost as much."
    ),
]
PlannedRegimes = Annotated[
    list[str] | None,
    Parameter(
        name="--regime",
        help="Regime to use, as tv, tv+radio, history or all; repeat it. By default those of the "
        "data, each action alone, all together, and history.",
        negative=(),
    ),
]
Level = Annotated[float, Parameter(name="--level", help="Probability of the bands.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="File to write.")]
Folder = Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to write to.")]
