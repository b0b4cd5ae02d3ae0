"""Log posterior of the hyperparameters, its modes and its surrogate."""
