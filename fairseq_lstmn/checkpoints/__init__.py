"""What a checkpoint file holds and whether it is sound; ``compat`` ties it to fairseq."""
