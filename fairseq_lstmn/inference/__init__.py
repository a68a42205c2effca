"""A trained model that reads lines of text: what the commands on checkpoints share."""
