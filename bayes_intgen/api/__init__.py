"""Public functions and classes: fit, load, Posterior."""
