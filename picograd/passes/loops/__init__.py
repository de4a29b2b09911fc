"""Analyses of loops as they stand: ranges of indices, strides, lanes. Nothing is changed here."""
