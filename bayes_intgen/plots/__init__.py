"""Pictures with Matplotlib: labelled Datasets in, axes or figures out."""
