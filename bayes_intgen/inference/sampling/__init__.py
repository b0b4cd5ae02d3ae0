"""NUTS with delayed acceptance: kernel, chains, stopping rule."""
