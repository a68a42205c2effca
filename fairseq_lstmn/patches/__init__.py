"""What of fairseq is patched; ``compat`` applies it."""
