"""picograd: a teaching compiler for tensor programs."""
