"""How map_to_grid spreads loop nests over workgroups and threads, one idea a file."""
