"""From scalar bodies to register tiles, and from tiles to the machine's vectors."""
