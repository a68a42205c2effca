"""What fairseq's datasets lack."""
