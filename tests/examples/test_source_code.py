"""examples/source_code: the text from a small library, kinds of words, scores, and the plan."""

import json
import math
import os
import random
import re
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from fairseq.data import Dictionary

from fairseq_lstmn.errors import InputError
from tests.examples.example import EXAMPLES, decoded, load_script, readme_commands
from tests.examples.plans import check_plan

EXAMPLE = EXAMPLES / "source_code"
SPLITS = "train", "valid", "test"

library = load_script(EXAMPLE / "library.py")
renaming = load_script(EXAMPLE / "renaming.py")
prepare = load_script(EXAMPLE / "prepare.py")
kinds = load_script(EXAMPLE / "kinds.py")
guesses = load_script(EXAMPLE / "guesses.py")
by_distance = load_script(EXAMPLE / "by_distance.py")

SOURCE = '''"""What the module is for."""
# a comment
import os, numbers

def total(amounts, limit=10):
    """What the function
    is for."""

    if not amounts: return 0  # nothing
    joined = ("a"
              'b') + f"{limit}"
    return min(os.path.join(joined), *amounts)
'''
WORDS = """<newline> import os , numbers
<newline> def total ( amounts , limit = <number> ) :
<indent> if not amounts : return 0
<newline> joined = ( <string> ) + <string>
<newline> return min ( os . path . join ( joined ) , * amounts )
<dedent>"""


def some_source(seed, names="abcdefgh"):
    """Functions that use ``names``; the same whatever they are, but for them."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rng.randint(2, 9)):
        one, two, three = rng.sample(range(len(names)), 3)
        lines += [f"def {names[one]}(self, {names[two]}):", '    """Docstring."""']
        lines += [f"    return self.{names[three]} + len({names[two]})"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with a small library, tests beside it."""
    folder = tmp_path_factory.mktemp("library")
    for package in ("email", "json", "test"):
        (folder / package).mkdir()
        for number in range(30):
            (folder / package / f"m{number}.py").write_text(some_source(f"{package}{number}"))
    return folder


@pytest.fixture(scope="module")
def corpus(sources, tmp_path_factory):
    """What ``prepare.py`` makes of it, in four shards of half of the files each."""
    dest = tmp_path_factory.mktemp("made") / "data" / "source_code"
    make(sources, dest, "--shards", "4", "--tokens", half(sources))
    return dest


def make(sources, dest, *options):
    few = "--names", "5", "--attributes", "0"
    prepare.main(["--from", str(sources), "--dest", str(dest), *few, *options])


def a_round(sources):
    files = library.modules(sources)["train"]
    return list(prepare.renamed(files, renaming.Renaming(renaming.LANGUAGE, 5), 0))


def half(sources):
    return str(prepare.size(a_round(sources)) // 2)


def lines_of(text, folder):
    path = folder / "module.py"
    path.write_text(text)
    return list(library.logical_lines(path))


def pieces(lines, path="m.py", draw=0, names=30):
    return list(renaming.Renaming(renaming.LANGUAGE, names).files(path, lines, draw))


def masked(words):
    return [re.sub(r"^v\d+$", "v", word) for word in words]


def test_words_of_a_module(tmp_path):
    assert "\n".join(map(" ".join, lines_of(SOURCE, tmp_path))) == WORDS


def test_an_identifier_has_one_name_in_its_file(tmp_path):
    lines = lines_of(SOURCE, tmp_path)
    original = [word for line in lines for word in line]
    [text] = pieces(lines)
    given = {}
    for before, after in zip(original, text, strict=True):
        assert given.setdefault(before, after) == after
    changed = {before: after for before, after in given.items() if before != after}
    own = "os numbers total amounts limit joined path join".split()
    assert set(changed) == set(own)
    assert len(set(changed.values())) == len(own)
    assert all(re.fullmatch(r"v\d+", name) for name in changed.values())


def test_names_depend_on_the_file_and_the_draw_and_not_on_the_identifiers(tmp_path):
    lines = lines_of(some_source(1), tmp_path)
    others = lines_of(
        some_source(1, names=["on", "tw", "th", "fo", "fi", "si", "se", "ei"]), tmp_path
    )
    assert lines != others
    assert pieces(lines) == pieces(others) == pieces(lines)
    assert pieces(lines) != pieces(lines, draw=1)
    assert pieces(lines) != pieces(lines, path="n.py")


def test_a_file_goes_on_as_another_one_where_names_run_out(tmp_path):
    lines = lines_of(some_source(2), tmp_path)
    [whole], several = pieces(lines), pieces(lines, names=3)
    assert len(several) > 1
    assert masked(word for text in several for word in text) == masked(whole)
    assert all(len({*text} & {"v0", "v1", "v2"}) == 3 for text in several[:-1])


def test_a_line_with_too_many_identifiers_is_left_out(tmp_path):
    lines = lines_of("a = 1\nb = c(d, e)\na = 2\n", tmp_path)
    assert pieces(lines, names=3) == pieces([lines[0], lines[2]], names=3)


def test_attributes_of_most_files_stay(tmp_path):
    files = [
        lines_of(f"a.b\n{text}\n", tmp_path) for text in ("a.c; self.d; a.b", "a.c", "x.e.print")
    ]
    assert renaming.frequent_attributes(files, 3) == ["b", "c", "d"]


def test_every_file_is_in_one_split(sources):
    found = library.modules(sources)
    names = [name for files in found.values() for name in files]
    assert all(found.values())
    assert sorted(names) == sorted(f"{p}/m{k}.py" for p in ("email", "json") for k in range(30))


def test_the_same_library_gives_the_same_data(sources, corpus, tmp_path):
    make(sources, tmp_path / "again", "--tokens", half(sources))
    for split in SPLITS:
        for name in (f"{split}.txt", f"bin/{split}.bin"):
            first, again = (made / "shard1" / name for made in (corpus, tmp_path / "again"))
            assert first.read_bytes() == again.read_bytes()


def text_of(corpus, shard, split="train"):
    return (corpus / f"shard{shard}" / f"{split}.txt").read_text().splitlines()


def test_files_come_again_under_other_names(sources, corpus):
    texts = [line.split() for shard in range(1, 5) for line in text_of(corpus, shard)]
    once = a_round(sources)
    assert texts[: len(once)] == once
    again = texts[len(once) : 2 * len(once)]
    assert list(map(masked, again)) == list(map(masked, once))
    assert all(first != second for first, second in zip(once, again) if "v1" in first)


def test_the_binary_form_is_the_text_and_has_no_unknown_words(corpus):
    dictionary = corpus / "shard1" / "bin" / "dict.txt"
    for shard in range(1, 5):
        for split in SPLITS if shard == 1 else ["train"]:
            found = decoded(corpus / f"shard{shard}" / "bin" / split, dictionary)
            assert found == text_of(corpus, shard, split)
            assert "<unk>" not in " ".join(found).split()
    assert {f"v{k}" for k in range(5)} < set(Dictionary.load(str(dictionary)).symbols)


def test_the_library_of_this_python_without_its_tests():
    folder = Path(sysconfig.get_path("stdlib"))
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")]
    taken = set(filter(library.is_taken, names))
    assert {"argparse.py", "json/decoder.py", "asyncio/queues.py"} < taken
    assert not [name for name in taken if {"test", "site-packages"} & set(name.split("/"))]
    assert {library.split_of(name) for name in taken} == set(SPLITS)


def test_errors_name_the_option(sources, tmp_path):
    with pytest.raises(InputError, match="--names 0: must be 1 or more"):
        make(sources, tmp_path / "no", "--names", "0")
    with pytest.raises(InputError, match="has no file for train"):
        make(tmp_path, tmp_path / "no")
    (tmp_path / "bad.py").write_text("def f(:\n  (")
    with pytest.raises(InputError, match="bad.py: cannot be read as Python"):
        make(tmp_path, tmp_path / "no")
    assert os.listdir(tmp_path) == ["bad.py"]


def kind_by_search(words, position):
    """The kind of a word by going back through its file."""
    if not re.fullmatch(r"v\d+", words[position]):
        return "other"
    for distance in range(1, position + 1):
        if words[position - distance] == "</s>":
            break
        if words[position - distance] == words[position]:
            bounds = {"1-10": 10, "11-30": 30, "31-100": 100, "101-300": 300}
            return next((kind for kind, most in bounds.items() if distance <= most), "over 300")
    return "new"


def test_kinds_are_those_found_by_going_back():
    rng = random.Random(1)
    names = [f"v{int(rng.paretovariate(0.4)) % 400}" for _ in range(3000)]
    words = [rng.choice([name, name, "value", "=", "v"]) for name in names]
    for position in rng.sample(range(3000), 4):
        words[position] = "</s>"
    found = [kinds.KINDS[number] for number in kinds.kinds(words)]
    assert found == [kind_by_search(words, position) for position in range(3000)]
    assert set(found) == set(kinds.KINDS)


def test_distances_at_the_bounds():
    for distance, kind in {
        1: "1-10",
        10: "1-10",
        11: "11-30",
        300: "101-300",
        301: "over 300",
    }.items():
        words = ["v1", *["="] * (distance - 1), "v1"]
        assert kinds.KINDS[kinds.kinds(words)[-1]] == kind


def test_plan_and_its_scores_by_distance(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(corpus.parent)
    check_plan("source_code/source_code", capsys)
    by_distance.main(["runs", "--dest", "scores"])
    assert sorted(os.listdir("scores")) == [f"by_distance.{kind}" for kind in ("json", "md", "png")]
    found = json.loads(Path("scores/by_distance.json").read_text())
    compared = json.loads(Path("runs/results.json").read_text())
    for model, again in zip(compared["models"], found["scores"]["all words"], strict=True):
        assert model["name"] == again["name"]
        means = [entry["scores"]["perplexity"]["mean"] for entry in (model, again)]
        assert math.isclose(*means, rel_tol=1e-5)
    perplexities, accuracies = found["buckets"]
    words = [word for line in text_of(corpus, 1, "test") for word in [*line.split(), "</s>"]]
    assert sum(perplexities["counts"]) == sum(accuracies["counts"]) == len(words)


def test_plan_of_rivals(corpus, tmp_path, monkeypatch, capsys, check):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(corpus.parent)
    check("source_code/rivals", capsys)


@pytest.mark.parametrize(
    "text, impossible",
    [("v0 v1 v0 = v1 </s>", True), ("v0 = v1 </s>", False)],
    ids=["an impossible word", "no identifier seen before"],
)
def test_numbers_that_there_are_not(tmp_path, monkeypatch, text, impossible):
    """They are null in JSON and no part of a curve; what has none at all is not said."""
    words = text.split()

    def guess(path, subset):
        logs = np.full(len(words), -1.0)
        if impossible and path == "b.pt":
            logs[2] = -math.inf
        return guesses.Guesses(words, logs, logs == -1)

    monkeypatch.setattr(by_distance, "guess", guess)
    by_distance.main(["a=a.pt", "b=b.pt", "--dest", str(tmp_path / "scores")])
    written = (tmp_path / "scores" / "by_distance.json").read_text()
    found = json.loads(written, parse_constant=pytest.fail)
    assert [entry["metric"] for entry in found["buckets"]] == ["perplexity", "accuracy"]
    seen = "On identifiers seen before:" in (tmp_path / "scores" / "by_distance.md").read_text()
    assert seen == impossible


def test_a_checkpoint_by_its_name(tmp_path):
    assert by_distance.checkpoints(["a=x.pt", "a=y.pt", "b=z.pt"]) == {
        "a": {"1": "x.pt", "2": "y.pt"},
        "b": {"1": "z.pt"},
    }
    with pytest.raises(InputError, match="holds no comparison"):
        by_distance.checkpoints([str(tmp_path)])


def test_the_readme_makes_the_data_of_the_plan():
    [made] = [words for words in readme_commands(EXAMPLE) if "prepare.py" in " ".join(words)]
    args = prepare.parse_arguments(made[2:])
    plan = (EXAMPLE / "plans" / "source_code.yaml").read_text()
    shards = re.findall(r"data/source_code/shard(\d)/bin", plan)
    assert [int(number) for number in shards] == list(range(1, args.shards + 1))
    assert args.dest == Path("data/source_code")
