"""Run the command line as ``python -m bayes_intgen``."""

from bayes_intgen.cli import run

if __name__ == "__main__":
    run()
