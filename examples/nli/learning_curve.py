#!/usr/bin/env python3
"""Test accuracy against the number of generated training pairs, a curve for every reader.

    python examples/nli/learning_curve.py --dest DIR --pairs 1000 10000 100000 [--seeds 1 2]
        [options of fairseq-train]

trains every reader on every number of pairs with every seed, for --max-update updates whatever
their number, and writes DIR/accuracy.tsv, a row (reader, pairs, seed, accuracy) a training, and
the plot DIR/accuracy.png. What stands in accuracy.tsv already is not trained again.
"""

import argparse
import csv
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import fairseq_lstmn

READERS = {
    "LSTM": ("lstm_nli",),
    "LSTMN": ("lstmn_nli",),
    "LSTMN, shallow fusion": ("lstmn_nli", "--attention-fusion", "shallow"),
    "LSTMN, deep fusion": ("lstmn_nli", "--attention-fusion", "deep"),
}
GENERATOR = Path(__file__).parent / "generated_pairs.py"
PLUGIN = Path(fairseq_lstmn.__file__).parent
TASK = (
    *("--user-dir", str(PLUGIN), "--task", "sentence_pair_prediction"),
    *("--criterion", "sentence_prediction", "--num-workers", "0"),
)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dest", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pairs", type=int, nargs="+", required=True, metavar="N")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="S")
    parser.add_argument("--distractors", type=int, default=1, metavar="K")
    parser.add_argument("--max-update", default="4000", metavar="N")
    return parser.parse_known_args()


def accuracy(reader, data, seed, max_update, training, checkpoints):
    """Test accuracy in percent after a training; its log stands beside its checkpoint."""
    architecture, *fusion = READERS[reader]
    checkpoints.mkdir(parents=True, exist_ok=True)
    schedule = "--lr-scheduler", "polynomial_decay", "--total-num-update", max_update
    train = ["fairseq_cli.train", data, *TASK, "--arch", architecture, *fusion, *training]
    train += ["--num-classes", "3", *schedule, "--max-update", max_update, "--seed", str(seed)]
    train += ["--save-dir", checkpoints, "--no-epoch-checkpoints", "--disable-validation"]
    run(train, checkpoints / "train.log")
    path = checkpoints / "checkpoint_last.pt"
    test = ["fairseq_cli.validate", data, *TASK, "--path", path, "--batch-size", "64"]
    log = run([*test, "--valid-subset", "test"], checkpoints / "test.log")
    return float(re.findall(r"\| accuracy ([\d.]+)", log)[-1])


def run(command, log):
    """What ``python -m COMMAND`` writes, which goes to the file ``log``; exits if it fails."""
    with log.open("w") as file:
        line = [sys.executable, "-m", *map(str, command)]
        ended = subprocess.run(line, stdout=file, stderr=subprocess.STDOUT)
    if ended.returncode:
        sys.exit(f"error: {command[0]} ended with status {ended.returncode}, see {log}")
    return log.read_text()


def measure(options, training, table):
    """Train what ``table`` lacks and add its rows."""
    done = {tuple(row[:3]) for row in read(table)}
    for pairs in options.pairs:
        data = options.dest / f"pairs{pairs}"
        if not data.exists():
            drawn = ["--pairs", str(pairs), "--distractors", str(options.distractors)]
            subprocess.run([sys.executable, GENERATOR, "--dest", data, *drawn], check=True)
        for seed in options.seeds:
            for reader in READERS:
                key = reader, str(pairs), str(seed)
                if key in done:
                    continue
                checkpoints = options.dest / "checkpoints" / "-".join(key).replace(" ", "_")
                found = accuracy(reader, data, seed, options.max_update, training, checkpoints)
                with table.open("a", newline="") as file:
                    csv.writer(file, delimiter="\t").writerow([*key, found])
                print(*key, found, sep="\t", flush=True)


def read(table):
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def plot(table, picture):
    """A curve for every reader: the mean over seeds, and the range of all of them."""
    from matplotlib.figure import Figure

    curves = defaultdict(lambda: defaultdict(list))
    for reader, pairs, _, found in read(table):
        curves[reader][int(pairs)].append(float(found))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for reader in READERS:
        points = sorted(curves[reader].items())
        sizes = [pairs for pairs, _ in points]
        means = [statistics.mean(found) for _, found in points]
        (line,) = axes.plot(sizes, means, marker="o", label=reader)
        lowest, highest = ([limit(found) for _, found in points] for limit in (min, max))
        axes.fill_between(sizes, lowest, highest, color=line.get_color(), alpha=0.15)
    axes.axhline(100 / 3, color="gray", linestyle=":", label="chance")
    axes.set_xscale("log")
    measured = sorted({pairs for points in curves.values() for pairs in points})
    axes.set_xticks(measured, [f"{pairs:,}" for pairs in measured])
    axes.minorticks_off()
    axes.set_xlabel("training pairs")
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)


def main():
    options, training = parse()
    options.dest.mkdir(parents=True, exist_ok=True)
    table = options.dest / "accuracy.tsv"
    measure(options, training, table)
    plot(table, options.dest / "accuracy.png")
    print(options.dest / "accuracy.png")


if __name__ == "__main__":
    main()
