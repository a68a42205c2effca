"""Average the weights of several checkpoints of a training.

The mean is a checkpoint that every command of fairseq's takes, with the settings of the first one;
to train on from it, give --restore-file FILE --reset-optimizer.
"""

import os
from argparse import ArgumentParser, Namespace

from fairseq_lstmn.errors import InputError

# how fairseq calls its checkpoints
EPOCHS = r"checkpoint(\d+)\.pt"
UPDATES = r"checkpoint_\d+_(\d+)\.pt"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "checkpoints", metavar="CHECKPOINT", nargs="+", help="files, or a folder of a training"
    )
    parser.add_argument("--output", metavar="FILE", required=True, help="new checkpoint to make")
    latest = parser.add_mutually_exclusive_group()
    latest.add_argument(
        "--num-epoch-checkpoints", metavar="N", type=int, help="the last N epochs' of a folder"
    )
    latest.add_argument(
        "--num-update-checkpoints",
        metavar="N",
        type=int,
        help="the last N of a folder that --save-interval-updates wrote",
    )


def run(args: Namespace) -> int:
    if os.path.lexists(args.output):
        raise InputError(f"--output {args.output}: exists already; name a new file")
    # here, so that `fairseq-lstmn doctor` can say that torch or fairseq is broken
    from fairseq import checkpoint_utils

    from fairseq_lstmn.inference.averaging import average

    paths = chosen(args)
    checkpoint_utils.torch_persistent_save(average(paths), args.output)
    print(*paths, sep="\n")
    print(f"average of {len(paths)}: {args.output}")
    return 0


def chosen(args: Namespace) -> list[str]:
    """The paths of the checkpoints that are averaged."""
    from fairseq_lstmn.inference.averaging import latest

    checkpoints: list[str] = args.checkpoints
    for option, number, pattern in (
        ("--num-epoch-checkpoints", args.num_epoch_checkpoints, EPOCHS),
        ("--num-update-checkpoints", args.num_update_checkpoints, UPDATES),
    ):
        if number is None:
            continue
        if number < 1:
            raise InputError(f"{option} {number}: must be 1 or more")
        if len(checkpoints) > 1:
            raise InputError(f"{option}: takes one folder, not {len(checkpoints)} paths")
        return latest(checkpoints[0], number, pattern)
    for path in checkpoints:
        if os.path.isdir(path):
            raise InputError(
                f"{path}: is a folder; give --num-epoch-checkpoints or --num-update-checkpoints"
            )
    return checkpoints
