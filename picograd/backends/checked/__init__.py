"""Checked execution: what both back ends share of guarding memory and judging it after a call."""
