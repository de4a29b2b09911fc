"""Decisions about a loop nest: sizes of tiles, operands to copy, where running values wait."""
