"""How a loop nest is blocked: sizes of tiles and their parts, operands to copy, where sums wait."""
