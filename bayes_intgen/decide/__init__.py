"""From draws to decisions: contrasts, slopes and best plans."""
