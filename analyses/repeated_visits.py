"""Clinical example: from single-drug trials with repeated visits to three drugs at once, by age.

    python analyses/repeated_visits.py [--quick] [--output FOLDER]

Patients have three visits each, at which doses of three drugs and a symptom score (higher is worse)
are recorded. Doctors give more to sicker and older patients. In a trial of each drug its dose is
set at random while doctors choose the others. Patients differ in their usual score, and age
changes the score and how well the drugs work. No patient has all three doses set.

The estimand is the change of the score when doses of one or all drugs are raised from low to high
and all are set, by age. Beside it stand the simulator's truth and a fit that ignores that visits
belong to patients, and their age.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands
from bayes_intgen.simulators import RepeatedVisits
from bayes_intgen.simulators.repeated_visits import AGE_SD, MEAN_AGE

from _figures import headroom, legend, save_figure
from _scores import timed
from _study import story_arguments
from _tables import publish_table

DRUGS = ["drug1", "drug2", "drug3"]
ROWS = 900
# Seed of the random trials.
TRIALS = 3
# Doses as shares of the highest.
LOW, HIGH = 0.2, 0.7
# Drugs whose doses are raised.
RAISED = {
    "drug1": (True, False, False),
    "drug2": (False, True, False),
    "drug3": (False, False, True),
    "all three": (True, True, True),
}
AGES = (35, 55, 75)


def write_data(path: Path, trials: RepeatedVisits, rows: int, seed: int) -> None:
    """Write the data file: a row per visit, of routine care and of each trial."""
    rng = np.random.default_rng(seed)
    pieces = []
    for drug in (None, *DRUGS):
        doses, score, columns = trials.sample([drug] if drug else [], rows, rng)
        frame = pd.DataFrame(doses.round(2), columns=list(trials.names))
        pieces.append(
            frame.assign(
                patient=columns.groups["patient"],
                age=columns.covariates["age"].astype(int),
                score=score.round(1),
                trial=drug or "",
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(pieces).to_csv(path, index=False)


def low_and_high(highest: np.ndarray, raised: tuple[bool, ...]) -> np.ndarray:
    """Low doses of all drugs, and the same with some of them raised; shape (2, K)."""
    return np.stack([LOW * highest, np.where(raised, HIGH, LOW) * highest])


def true_change(trials: RepeatedVisits, points: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """True change of the score between two points, at several ages."""
    effects = [np.diff(trials.base.unconfounded(k, column))[0] for k, column in enumerate(points.T)]
    return np.sum(effects) + (ages - MEAN_AGE) / AGE_SD * (trials.moderation @ effects)


def change(posterior: bi.Posterior, points: np.ndarray, age: float | None) -> np.ndarray:
    """Draws of the change of the score between two points, at an age or averaged over ages."""
    given = None if age is None else {"age": age}
    effect = posterior.joint_effect(points, given=given)
    # What both points share cancels within a draw.
    return np.diff(effect.transpose("chain", "draw", ...).to_numpy()).ravel()


def by_age(
    posterior: bi.Posterior, ignoring: bi.Posterior, trials: RepeatedVisits, highest: np.ndarray
) -> list[dict[str, str | float]]:
    """Change of the score by age, beside the truth and the fit that ignores age."""
    lines: list[dict[str, str | float]] = []
    for name, raised in RAISED.items():
        points = low_and_high(highest, raised)
        plain = change(ignoring, points, None)
        for age, true in zip(AGES, true_change(trials, points, np.array(AGES)), strict=True):
            draws = change(posterior, points, age)
            low, high = np.quantile(draws, [0.05, 0.95])
            lines.append(
                {
                    "raised": name,
                    "age": age,
                    "change of score": round(float(draws.mean()), 1),
                    "5%": round(float(low), 1),
                    "95%": round(float(high), 1),
                    "simulator": round(float(true), 1),
                    "age and patients ignored": round(float(plain.mean()), 1),
                }
            )
    return lines


def draw_figure(
    posterior: bi.Posterior,
    ignoring: bi.Posterior,
    trials: RepeatedVisits,
    highest: np.ndarray,
    path: Path,
) -> None:
    """Plot the change of the score against age (left), and the response to a dose (right)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    ages, points = np.linspace(25, 85, 25), low_and_high(highest, RAISED["all three"])
    draws = np.stack([change(posterior, points, age) for age in ages], axis=1)
    plain = np.repeat(change(ignoring, points, None)[:, None], len(ages), axis=1)
    fits = {"with patients and age": draws, "ignoring them": plain}
    for (name, values), shade in zip(fits.items(), ("C0", "C3"), strict=True):
        draw_bands(left, ages, values, (0.9,), shade)
        left.lines[-1].set_label(f"{name}, 90% band")
    left.plot(ages, true_change(trials, points, ages), "k--", linewidth=1.2, label="simulator")
    left.set_xlabel("age (years)")
    left.set_ylabel("change of the score")
    left.set_title(f"All doses raised from {LOW:.0%} to {HIGH:.0%} of the highest")

    k = int(np.argmax(np.abs(trials.moderation)))
    along = np.linspace(LOW / 2, 0.9, 50) * highest[k]
    points = np.tile(HIGH * highest, (50, 1))
    points[:, k] = along
    for age, shade in zip((AGES[0], AGES[-1]), ("C2", "C1"), strict=True):
        effect = posterior.joint_effect(points, given={"age": age})
        values = effect.transpose("chain", "draw", ...).to_numpy().reshape(-1, 50)
        draw_bands(right, along, values, (0.9,), shade)
        right.lines[-1].set_label(f"age {age}, 90% band")
        z = (age - MEAN_AGE) / AGE_SD
        truth = trials.base.joint_effect(points) + z * (trials.ageing + moderated(trials, points))
        name = "simulator" if age == AGES[0] else "_"
        right.plot(along, truth, "k--", linewidth=1.2, label=name)
    right.set_xlabel(f"daily dose of {DRUGS[k]} (mg)")
    right.set_ylabel("score of the average patient, all doses set")
    right.set_title(f"Response to {DRUGS[k]}, the others at {HIGH:.0%}")
    for ax in (left, right):
        headroom(ax, 0.2)
        legend(ax, handles=[line for line in ax.lines if line.get_label()[0] != "_"])
    save_figure(figure, path)


def moderated(trials: RepeatedVisits, points: np.ndarray) -> np.ndarray:
    """Change of the drugs' total effect with a standard deviation of age."""
    effects = [trials.base.unconfounded(k, points[:, k]) for k in range(points.shape[1])]
    return np.stack(effects, axis=1) @ trials.moderation


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "repeated_visits").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    file = args.output / "repeated_visits.csv"
    trials = RepeatedVisits.random(len(DRUGS), seed=TRIALS)
    write_data(file, trials, 600 if args.quick else ROWS, args.seed)
    print(f"Data written to {file}")

    # The analyst's work; from here on the simulator supplies true effects only.
    frame = pd.read_csv(file)
    roles = {"outcome": "score", "regime": "trial"}
    data = bi.RegimeData.from_frame(frame, DRUGS, **roles, covariates=["age"], groups=["patient"])
    print(data)
    model = bi.models.additive(moderators={drug: ["age"] for drug in DRUGS})
    size = {"draws": 100, "warmup": 100, "chains": 2} if args.quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, model, seed=args.seed, **size))
    print(f"Fitted in {seconds:.0f} s")
    plain = bi.RegimeData.from_frame(frame, DRUGS, **roles)
    with warnings.catch_warnings():
        # That visits of a patient resemble each other, which this fit ignores.
        warnings.filterwarnings("ignore", "neighbouring rows", bi.DataWarning)
        ignoring, seconds = timed(lambda: bi.fit(plain, seed=args.seed, **size))
    print(f"Patients and age ignored, for comparison: {seconds:.0f} s")

    highest = trials.base.highest
    print(
        f"\nChange of the score when doses are raised from {LOW:.0%} to {HIGH:.0%} of the highest"
    )
    print("and all are set, never seen together in the data:")
    lines = by_age(posterior, ignoring, trials, highest)
    table = args.output / "repeated_visits_ages.csv"
    publish_table(table, lines, "python analyses/repeated_visits.py")
    draw_figure(posterior, ignoring, trials, highest, args.output / "repeated_visits")
    print(f"\nFigure and table are in {args.output}")


if __name__ == "__main__":
    main()
