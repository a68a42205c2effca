"""What fairseq's trainer leaves unsaid; ``compat`` ties it to fairseq."""
