"""Formulas of `expand_math`: elementary functions as polynomials over an abstract arithmetic."""
