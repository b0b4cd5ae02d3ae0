"""Report of a fit: one self-contained HTML file with an explorer of joint effects."""
