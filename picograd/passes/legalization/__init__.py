"""How `legalize_types` spells narrow element types on a machine: what is held, what is computed."""
