"""Trainings of two processes on one machine."""

import uuid


def two_processes(folder, *arguments):
    """The two commands of a distributed training, which find each other through a new file.

    They save in ``folder``, which is made.
    """
    folder.mkdir(exist_ok=True)
    meet = folder / f"meet-{uuid.uuid4()}"
    together = (
        "--distributed-world-size", 2, "--distributed-backend", "gloo", "--distributed-no-spawn",
        "--distributed-init-method", f"file://{meet}", "--save-dir", folder,
    )  # fmt: skip
    return [["train", *arguments, *together, "--distributed-rank", rank] for rank in range(2)]
