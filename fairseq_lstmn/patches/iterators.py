"""``fairseq.data.iterators``: the thread that reads batches ahead."""

from fairseq.data import iterators

from fairseq_lstmn.data import loader_threads
from fairseq_lstmn.patches.registry import patch

# the process does not abort ("terminate called ...") when it ends before its batches do
patch(iterators.BufferedIterator, "_create_consumer")(loader_threads.start_and_remember)
