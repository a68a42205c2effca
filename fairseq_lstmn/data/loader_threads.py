"""fairseq's loader threads, which must not outlive the work."""

import atexit
import contextlib
import queue
import weakref
from collections.abc import Callable

from fairseq.data.iterators import BufferedIterator

_started: weakref.WeakSet[BufferedIterator] = weakref.WeakSet()


def start_and_remember(
    create_consumer: Callable[[BufferedIterator], None], iterator: BufferedIterator
) -> None:
    """fairseq's ``BufferedIterator._create_consumer``, whose thread ends with the process.

    It fills a queue. Where nobody empties that any more (an error, --max-update reached) it is
    still at work when the interpreter goes, which kills it in the middle of torch's code and so
    aborts the process.
    """
    create_consumer(iterator)
    _started.add(iterator)


@atexit.register
def end_all() -> None:
    """End every loader thread after the batch at which it is."""
    for iterator in list(_started):
        end(iterator)


def end(iterator: BufferedIterator) -> None:
    """End the thread of a BufferedIterator, of which nothing more can be read."""
    consumer, batches = iterator._consumer, iterator._queue
    assert consumer is not None  # it was started
    consumer._max_len = 0
    while consumer.is_alive():
        with contextlib.suppress(queue.Empty):
            batches.get(timeout=0.05)  # makes room for a batch that it wants to put
