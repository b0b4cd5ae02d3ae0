"""Answers that regimes and rows can give: masks, certificates, overlap."""
