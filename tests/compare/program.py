"""What a stage of a test does: the Python that is its first argument."""

import sys

exec(sys.argv[1])
