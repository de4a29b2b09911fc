"""Validation: the module before and after each pass, evaluated and held against each other."""
