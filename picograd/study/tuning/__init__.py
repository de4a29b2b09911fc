"""Schedules for kernels, found by measuring: what may be tried, trials, and the search."""
