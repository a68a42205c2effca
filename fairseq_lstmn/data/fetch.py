"""Files that a user names by a path or an address."""

import http.client
import urllib.request
from pathlib import Path

from fairseq_lstmn.errors import InputError


def fetch(address: str) -> bytes:
    """Return the bytes at ``address``, a path or URL; raises InputError, naming ``--from``."""
    if "://" not in address:
        return read_bytes(Path(address))
    print(f"downloading {address}", flush=True)
    # The host of WikiText-2 turns away Python's default user agent.
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            content: bytes = reply.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"--from {address}: cannot be downloaded ({error})") from None


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; raises InputError, naming it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
