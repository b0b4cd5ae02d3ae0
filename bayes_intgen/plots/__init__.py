"""Matplotlib pictures of labelled Datasets."""
