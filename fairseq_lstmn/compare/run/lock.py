"""Locks on files: who holds one is at work in a folder, on this machine or on another.

A lock ends with its process, however that ends. Where a file system has none, every lock is free.
"""

import fcntl
from pathlib import Path
from typing import IO


def take(path: Path) -> IO[str] | None:
    """The lock on a file, made if need be, held until it is closed; None if another holds it.

    Raises OSError if there can be no such file.
    """
    file = open(path, "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:  # no locks there, as on some file systems of clusters
        pass
    return file


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on a file; no file is made for that."""
    if not path.exists():
        return False
    lock = take(path)
    if lock is not None:
        lock.close()
    return lock is None
