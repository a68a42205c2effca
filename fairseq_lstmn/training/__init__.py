"""What fairseq's trainer leaves unsaid; ``patches`` ties it to fairseq."""
