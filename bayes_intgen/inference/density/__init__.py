"""Log posterior of the hyperparameters, its modes and its surrogate."""

# Registers hyperpriors as a pytree, for compiled densities that take them as arguments.
import bayes_intgen.models.pytrees  # noqa: F401
