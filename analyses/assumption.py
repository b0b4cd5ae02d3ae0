"""Diagram of the assumption: hidden causes, actions, outcome, and the arrows that experiments cut.

    python analyses/assumption.py [--output FOLDER]

Each action has hidden causes of its own, which also move the outcome. Setting an action cuts the
arrows into it and leaves all others. The sums below the diagrams are the mean outcome at given
actions, in the words of docs/explanation/method.md.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch

from _figures import save_figure
from _study import story_arguments

INK, CUT, SET = "0.15", "0.75", "C0"
PLACES = {
    "hidden 1": (0.0, 1.0), "hidden 2": (2.0, 1.0),
    "tv": (0.0, 0.0), "radio": (2.0, 0.0), "sales": (1.0, -0.75),
}  # fmt: skip
ARROWS = [("hidden 1", "tv"), ("hidden 2", "radio"), ("tv", "radio"), ("hidden 1", "sales"),
          ("hidden 2", "sales"), ("tv", "sales"), ("radio", "sales")]  # fmt: skip
RADIUS = 0.3
REGIMES = {
    "history": ([], "$\\phi_{tv} + \\phi_{radio} + \\delta_{tv} + \\delta_{radio}$"),
    "experiment on tv": (["tv"], "$\\phi_{tv} + \\phi_{radio} + \\delta_{radio}$"),
    "experiment on radio": (["radio"], "$\\phi_{tv} + \\phi_{radio} + \\delta_{tv}$"),
    "the question: both set": (["tv", "radio"], "$\\phi_{tv} + \\phi_{radio}$"),
}


def draw_regime(ax: Axes, title: str, chosen: list[str], total: str) -> None:
    """Draw the diagram of one regime, in which ``chosen`` actions were set from outside."""
    for start, end in ARROWS:
        cut = end in chosen
        # A pair of actions is joined below the arrows from hidden causes.
        arrow = FancyArrowPatch(
            PLACES[start], PLACES[end], arrowstyle="-|>", mutation_scale=12, shrinkA=22, shrinkB=22,
            color=CUT if cut else INK, linestyle=":" if cut else "-", linewidth=1.2,
        )  # fmt: skip
        ax.add_patch(arrow)
        if cut:
            middle = [sum(pair) / 2 for pair in zip(PLACES[start], PLACES[end], strict=True)]
            ax.plot(*middle, "x", color=SET, markersize=8, markeredgewidth=2)
    for name, place in PLACES.items():
        hidden = name.startswith("hidden")
        ax.add_patch(Circle(
            place, RADIUS, facecolor="0.93" if hidden else "white",
            edgecolor=SET if name in chosen else INK, linestyle="--" if hidden else "-",
            linewidth=2.2 if name in chosen else 1.2,
        ))  # fmt: skip
        ax.text(*place, "hidden\ncauses" if hidden else name, ha="center", va="center", fontsize=8)
    ax.text(1.0, -1.32, total, ha="center", va="center", fontsize=10)
    ax.set(xlim=(-0.4, 2.4), ylim=(-1.5, 1.4), aspect="equal")
    ax.set_title(title, fontsize=10, color=SET if len(chosen) == 2 else INK)
    ax.axis("off")


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "assumption").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, len(REGIMES), figsize=(12, 3.4), layout="constrained")
    for ax, (title, (chosen, total)) in zip(axes, REGIMES.items(), strict=True):
        draw_regime(ax, title, chosen, total)
    save_figure(figure, args.output / "assumption")
    print(f"The figure is in {args.output}")


if __name__ == "__main__":
    main()
