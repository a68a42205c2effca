"""What a kind of task is to a comparison."""
