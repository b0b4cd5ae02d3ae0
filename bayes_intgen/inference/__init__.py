"""From rows and a model to draws."""
