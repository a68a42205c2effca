"""Print how many of the outputs of fairseq-generate equal their references.

    python examples/translation/exact_match.py FILE

FILE is what ``fairseq-generate`` printed or, with ``--results-path``, wrote. The best
hypothesis (the first H- line) of each sentence counts.
"""

import argparse
from pathlib import Path

from fairseq_lstmn.errors import InputError


def read_output(path):
    """Return ({id: reference}, {id: best hypothesis})."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    references, hypotheses = {}, {}
    for line in lines:
        kind, *fields = line.split("\t")
        if kind.startswith("T-"):
            references[kind[2:]] = fields[0]
        elif kind.startswith("H-"):
            hypotheses.setdefault(kind[2:], fields[1])
    if not references:
        raise InputError(f"{path}: has no T- lines; is it the output of fairseq-generate?")
    return references, hypotheses


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", metavar="FILE", type=Path, help="output of fairseq-generate")
    references, hypotheses = read_output(parser.parse_args(argv).output)
    equal = sum(hypotheses.get(i) == reference for i, reference in references.items())
    share = 100 * equal / len(references)
    print(f"exact match {share:.2f}% ({equal} of {len(references)})")


if __name__ == "__main__":
    main()
