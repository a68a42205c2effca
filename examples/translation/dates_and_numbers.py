"""Write a parallel corpus: numbers, dates and times in words, and their normal form.

    python examples/translation/dates_and_numbers.py --dest DIR [--pairs N] [--seed S]

DEST gets {train,valid,test}.{words,digits} and DEST/bin what ``fairseq-preprocess`` makes of
them. The words are English or German, German compounds cut into their parts; the normal form
is cut into characters:

    seven thousand three hundred and five                        7 3 0 5
    am drei@@ und@@ zwanzig@@ sten märz zwei@@ tausend@@ vier    2 0 0 4 - 0 3 - 2 3
    half past seven in the evening                               1 9 : 3 0

All phrasings of a number, date or time are in the same split, so that what is asked in the
test has not been answered in training in either language.
"""

import argparse
import random
from collections.abc import Iterable, Sequence
from datetime import date

from fairseq_lstmn.data.data_folder import (
    SPLITS,
    add_dest,
    atomic_folder,
    binarise,
    check_new,
    write_lines,
)
from fairseq_lstmn.errors import InputError

SHARES = 90, 5, 5  # of training, validation and test, in percent of the values
DIGITS = "000123456789"  # zeros are not said, so they are to be seen often
FIRST_DAY, LAST_DAY = date(1100, 1, 1), date(2099, 12, 31)

ENGLISH = """zero one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen""".split()
ENGLISH_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
ENGLISH_MONTHS = """january february march april may june july august september october
    november december""".split()
ENGLISH_PARTS_OF_DAY = ["in the morning"] * 2 + ["in the afternoon", "in the evening"]

GERMAN = """null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn
    vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn""".split()
GERMAN_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
GERMAN_ORDINALS = {1: "erste", 3: "dritte", 7: "siebte", 8: "achte"}
GERMAN_MONTHS = """januar februar märz april mai juni juli august september oktober november
    dezember""".split()
GERMAN_PARTS_OF_DAY = "nachts morgens nachmittags abends".split()


# English: a number is a list of words.


def english(n: int, link: Sequence[str] = ("and",)) -> list[str]:
    """The words of 0 <= n < 1,000,000, with ``link`` before the last two digits."""
    if n < 20:
        return [ENGLISH[n]]
    if n < 100:
        return [ENGLISH_TENS[n // 10], *(english(n % 10) if n % 10 else [])]
    unit, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    head, rest = divmod(n, unit)
    tail = [*(link if rest < 100 else ()), *english(rest, link)] if rest else []
    return [*english(head, link), name, *tail]


def english_ordinal(n: int) -> list[str]:
    *start, last = english(n)
    return [*start, ENGLISH_ORDINALS.get(last, last + "th")]


def english_hundreds(n: int, link: Sequence[str] = ("and",)) -> list[str]:
    """As in "nineteen hundred and five"."""
    return [*english(n // 100), "hundred", *([*link, *english(n % 100)] if n % 100 else [])]


def english_numbers(n: int) -> list[str]:
    phrasings = [english(n), english(n, link=())]
    if 1100 <= n < 10000 and n // 100 % 10:
        phrasings += [english_hundreds(n), english_hundreds(n, link=())]
    return sentences(phrasings)


def english_years(year: int) -> list[list[str]]:
    century, rest = divmod(year, 100)
    if year >= 2000 and rest < 10:
        return [english(year), english(year, link=())]
    if rest < 10:
        spoken = [english_hundreds(year)]
        return spoken + ([[*english(century), "oh", *english(rest)]] if rest else [])
    return [english(century) + english(rest)]


def english_dates(day: date) -> list[str]:
    number, month = english_ordinal(day.day), ENGLISH_MONTHS[day.month - 1]
    starts = [
        ["the", *number, "of", month],
        ["on", "the", *number, "of", month],
        [month, "the", *number],
        [month, *number],
    ]
    return sentences(start + year for start in starts for year in english_years(day.year))


def english_times(hour: int, minute: int) -> list[str]:
    this, following = english(on_dial(hour)), english(on_dial(hour + 1))
    if minute == 0:
        spoken = [[*this, "o'clock"]]
    elif minute <= 30:
        past = {15: ["quarter"], 30: ["half"]}.get(minute, english(minute))
        spoken = [[*past, "past", *this]]
    else:
        to = {45: ["quarter"]}.get(minute, english(60 - minute))
        spoken = [[*to, "to", *following]]
    if minute:
        spoken.append([*this, *(["oh"] if minute < 10 else []), *english(minute)])
    part = ENGLISH_PARTS_OF_DAY[hour // 6]
    return sentences([*start, *words, part] for start in ([], ["at"]) for words in spoken)


# German: a number is a list of the parts of one word.


def german(n: int, link: Sequence[str] = ()) -> list[str]:
    """The parts of 0 <= n < 1,000,000, with ``link`` before the last two digits."""
    if n < 20:
        return [GERMAN[n]]
    if n < 100:
        return [*(joined(n % 10) + ["und"] if n % 10 else []), GERMAN_TENS[n // 10]]
    unit, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
    head, rest = divmod(n, unit)
    tail = [*(link if rest < 100 else ()), *german(rest, link)] if rest else []
    return [*joined(head, link), name, *tail]


def joined(n: int, link: Sequence[str] = ()) -> list[str]:
    """As ``german``, for a number that something follows: "ein", not "eins"."""
    *start, last = german(n, link)
    return [*start, "ein" if last == "eins" else last]


def german_ordinal(n: int, ending: str = "") -> str:
    """As in "der dritte", with the ending "n" as in "am dritten"."""
    if n in GERMAN_ORDINALS:
        return GERMAN_ORDINALS[n] + ending
    return word([*german(n), ("te" if n < 20 else "ste") + ending])


def german_hundreds(n: int, link: Sequence[str] = ()) -> list[str]:
    """As in "neunzehnhundertfünf"."""
    return [*german(n // 100), "hundert", *([*link, *german(n % 100)] if n % 100 else [])]


def german_numbers(n: int) -> list[str]:
    phrasings = [german(n), german(n, link=["und"])]
    if phrasings[0][0] == "ein" and phrasings[0][1] != "und":  # "hundert" for "einhundert"
        phrasings += [phrasing[1:] for phrasing in phrasings]
    if 1100 <= n < 2000:
        phrasings += [german_hundreds(n), german_hundreds(n, link=["und"])]
    return sentences([word(phrasing)] for phrasing in phrasings)


def german_years(year: int) -> list[str]:
    say = german_hundreds if year < 2000 else german
    return [word(say(year)), word(say(year, link=["und"]))]


def german_dates(day: date) -> list[str]:
    month = GERMAN_MONTHS[day.month - 1]
    starts = [
        ["der", german_ordinal(day.day), month],
        ["am", german_ordinal(day.day, "n"), month],
        ["der", german_ordinal(day.day), german_ordinal(day.month)],
        ["am", german_ordinal(day.day, "n"), german_ordinal(day.month, "n")],
    ]
    return sentences([*start, year] for start in starts for year in german_years(day.year))


def german_times(hour: int, minute: int) -> list[str]:
    this, following = word(german(on_dial(hour))), word(german(on_dial(hour + 1)))
    half = {25: ["fünf", "vor", "halb"], 30: ["halb"], 35: ["fünf", "nach", "halb"]}
    if minute in half:
        clock = [*half[minute], following]
    elif minute < 30:
        clock = [{15: "viertel"}.get(minute, word(german(minute))), "nach", this]
    else:
        clock = [{45: "viertel"}.get(minute, word(german(60 - minute))), "vor", following]
    spoken = [[*clock, GERMAN_PARTS_OF_DAY[hour // 6]]] if minute else []
    spoken.append([word(joined(hour)), "uhr", *([word(german(minute))] if minute else [])])
    return sentences([*start, *words] for start in ([], ["um"]) for words in spoken)


# Both


def on_dial(hour: int) -> int:
    return hour % 12 or 12


def word(parts: Iterable[str]) -> str:
    """A word cut into its parts, which ``--remove-bpe`` would put together again."""
    return "@@ ".join(parts)


def sentences(phrasings: Iterable[Iterable[str]]) -> list[str]:
    return [" ".join(words) for words in phrasings]


def some_number(rng: random.Random) -> tuple[str, list[str]]:
    """A number of one to six digits: its normal form, and its phrasings in one language."""
    digits = rng.choice("123456789"), *rng.choices(DIGITS, k=rng.randrange(6))
    n = int("".join(digits))
    return str(n), rng.choice([english_numbers, german_numbers])(n)


def some_date(rng: random.Random) -> tuple[str, list[str]]:
    day = date.fromordinal(rng.randint(FIRST_DAY.toordinal(), LAST_DAY.toordinal()))
    return day.isoformat(), rng.choice([english_dates, german_dates])(day)


def some_time(rng: random.Random) -> tuple[str, list[str]]:
    hour, minute = rng.randrange(24), rng.randrange(60)
    return f"{hour:02}:{minute:02}", rng.choice([english_times, german_times])(hour, minute)


def corpus(pairs: int, seed: int) -> dict[str, dict[str, str]]:
    """Draw ``pairs`` pairs; returns {split: {words: normal form}} without the repeated ones."""
    rng = random.Random(seed)
    split_of: dict[str, str] = {}
    texts: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    for _ in range(pairs):
        normal_form, phrasings = rng.choice([some_number, some_date, some_time])(rng)
        split = split_of.setdefault(normal_form, rng.choices(SPLITS, SHARES)[0])
        texts[split][rng.choice(phrasings)] = normal_form
    return texts


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_dest(parser)
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=int,
        default=100000,
        help="pairs to draw; repeated ones are dropped (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", metavar="S", type=int, default=1, help="of the draw (default: %(default)s)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_arguments(argv)
    check_new(args.dest)
    splits = corpus(args.pairs, args.seed)
    if not all(splits.values()):
        raise InputError(f"--pairs {args.pairs}: too few for training, validation and test")
    with atomic_folder(args.dest) as folder:
        for split, pairs in splits.items():
            write_lines(folder / f"{split}.words", pairs)
            write_lines(folder / f"{split}.digits", map(" ".join, pairs.values()))
        binarise(folder, "--source-lang", "words", "--target-lang", "digits")
    print(f"ready for fairseq: {args.dest / 'bin'}")


if __name__ == "__main__":
    main()
