"""What is compared: the plan, the options of fairseq, parameters that match."""
