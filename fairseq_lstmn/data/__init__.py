"""What fairseq's datasets lack."""

from typing import Any

Sample = dict[str, Any]  # of fairseq's datasets, and a batch of them: tensors and numbers by name
