"""Basis functions of actions, without priors."""
