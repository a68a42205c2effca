#!/usr/bin/env python3
"""What the quickstart's comparisons came to, in a few lines and a picture.

    python scripts/quickstart_summary.py quickstart/comparisons

reads results.json in its folders recall, language_models and dates, and draws summary.png beside.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from results_map import Named, Result, draw

from fairseq_lstmn.compare.report.schema import Results
from fairseq_lstmn.errors import InputError, report_in_one_line

# by folder: what was asked of the models, and how a score reads
QUESTIONS: dict[str, tuple[str, Callable[[float], str]]] = {
    "recall": ("name the value that stood beside a key", "{:.0f}% right".format),
    "language_models": ("foretell the next word of a manual", "{:.0f} words to choose from".format),
    "dates": ("write dates in words as digits", "{:.0f}% right".format),
}


def load(folder: Path) -> Results:
    """A comparison's results. Raises InputError where there are none."""
    path = folder / "results.json"
    try:
        return cast(Results, json.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def rows(task: str, results: Results) -> Iterator[Result]:
    """Every model against the baseline, as shares of its perplexity or errors, if it has any."""
    metric = results["metrics"][0]
    scores = {model["name"]: model["scores"][metric["name"]] for model in results["models"]}
    lstm = scores[results["baseline"]]["mean"]
    if lstm == 100 and metric["unit"] == "%":
        return
    for name, score in scores.items():
        own, difference = score["mean"], score["difference"]
        if lstm is None or own is None or difference is None:
            continue
        low, high = difference["low"], difference["high"]
        if low is not None and high is not None:
            row = Named(task, name, difference["verdict"])
            yield Result.of(row, lstm, own, low, high, metric["unit"])


def line(name: str, results: Results) -> str:
    """The question and every model's answer, the best first."""
    question, spelled = QUESTIONS[name]
    metric = results["metrics"][0]
    means = [(m["name"], m["scores"][metric["name"]]["mean"]) for m in results["models"]]
    scored = [(model, mean) for model, mean in means if mean is not None]
    scored.sort(key=lambda pair: pair[1], reverse=metric["higher_is_better"])
    answers = ", ".join(f"{model} {spelled(mean)}" for model, mean in scored)
    differences = [m["scores"][metric["name"]]["difference"] for m in results["models"]]
    verdicts = [of["verdict"] for of in differences if of is not None]
    doubt = " (could be chance)" if set(verdicts) == {"inconclusive"} else ""
    return f"- {question}: {answers or 'no score'}{doubt}"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("comparisons", type=Path)
    folder = parser.parse_args().comparisons
    report_in_one_line()
    every = {name: load(folder / name) for name in QUESTIONS}
    picture = folder / "summary.png"
    drawn = [row for name, results in every.items() for row in rows(QUESTIONS[name][0], results)]
    if drawn:
        draw(drawn, picture)
        print(f"\n{picture}")
    print("An LSTM keeps one vector of what it reads; an LSTMN can look back at every word. To")
    print(*(line(name, results) for name, results in every.items()), sep="\n")
    print("all with as many parameters and updates; the reports beside say how sure that is.")


if __name__ == "__main__":
    main()
