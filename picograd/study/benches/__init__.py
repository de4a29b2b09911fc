"""What is measured: one program in several ways, timed so that they can be compared, and drawn."""
