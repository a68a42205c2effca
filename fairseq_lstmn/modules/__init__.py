"""Neural modules on the recurrence, and what models are made of."""
