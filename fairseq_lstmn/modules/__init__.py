"""Neural modules on the recurrence: layers, stacks, fusions, readers, decoders."""
