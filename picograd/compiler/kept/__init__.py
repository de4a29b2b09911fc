"""Compiled programs that are kept: in memory while there is room, and on disk between runs."""
