"""NUTS with delayed acceptance: kernel, chains, checkpoints, stopping rule."""
