"""Functions of actions, without priors."""
