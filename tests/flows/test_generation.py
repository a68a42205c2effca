"""Options of generation from end to end, with an LSTMN and with fairseq's own lstm."""

import re
import shutil

import pytest

from tests.fairseq_commands import LETTERS, PLUGIN, parallel_data, run

USER_DIR = ("--user-dir", PLUGIN)
WIDTHS = (
    "--encoder-embed-dim", 8, "--decoder-embed-dim", 8, "--decoder-out-embed-dim", 8,
    "--optimizer", "adam", "--lr", 0.05, "--max-tokens", 200, "--num-workers", 0,
)  # fmt: skip
ARCHITECTURES = {
    "deep": ("lstmn_deep",),
    "none": ("lstmn", "--attention-fusion", "none"),
    "lstm": ("lstm",),
}
ATTENTIVE = pytest.mark.parametrize("name", ["deep", "lstm"])
ALL_UNKNOWN = "--unkpen", -1000  # every word of an answer is <unk>
# words of the raw test text that no dictionary has
NEW = {letter: 2 * letter.upper() for letter in LETTERS[::2]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return parallel_data(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def raw(data):
    """The same data as text, with words in the test sets that the dictionaries lack."""
    folder = data.parent / "raw"
    folder.mkdir()
    for side in ("in", "out"):
        shutil.copy(data / f"dict.{side}.txt", folder)
        text = (data.parent / f"test.{side}").read_text()
        for known, word in NEW.items():
            text = text.replace(known, word)
        (folder / f"test.in-out.{side}").write_text(text)
    return folder


@pytest.fixture(scope="module")
def checkpoints(data, tmp_path_factory):
    """``{name: checkpoint}`` of the ARCHITECTURES after an epoch."""
    folder = tmp_path_factory.mktemp("models")
    for name, arch in ARCHITECTURES.items():
        run(
            "train", data, *USER_DIR, "--task", "translation", "--arch", *arch, *WIDTHS,
            "--max-epoch", 1, "--no-epoch-checkpoints", "--save-dir", folder / name,
        )  # fmt: skip
    return {name: folder / name / "checkpoint_last.pt" for name in ARCHITECTURES}


def generate(data, path, *options, command="generate", check=True, **kwargs):
    return run(
        command, data, *USER_DIR, "--path", path, "--source-lang", "in", "--target-lang", "out",
        "--beam", 3, "--max-len-b", 8, "--num-workers", 0, *options, check=check, **kwargs,
    )  # fmt: skip


def last_line(*arguments, **kwargs):
    """What a command says that ends by a fault of its input."""
    result = generate(*arguments, check=False, **kwargs)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    return result.stdout.splitlines()[-1]


def lines(result, kind):
    """{sentence number: last field of its line of that kind}."""
    found = re.findall(rf"^{kind}-(\d+)\t(?:.*\t)?(.*)$", result.stdout, flags=re.MULTILINE)
    return {int(number): text for number, text in found}


@ATTENTIVE
def test_shards_translate_each_sentence_once(data, checkpoints, name):
    whole = lines(generate(data, checkpoints[name], "--batch-size", 3), "H")
    options = "--batch-size", 3, "--num-shards", 2, "--shard-id"
    shards = [lines(generate(data, checkpoints[name], *options, i), "H") for i in range(2)]
    assert 0 < len(shards[0]) < 11
    assert not set(shards[0]) & set(shards[1])
    assert shards[0] | shards[1] == whole


def test_shards_that_are_not_there_end_in_one_line(data, checkpoints):
    path = checkpoints["deep"]
    for command in "generate", "eval-lm":
        arguments = command, data, *USER_DIR, "--path", path, "--num-shards", 2, "--shard-id", 2
        output = run(*arguments, check=False).stdout
        message = "error: --shard-id 2: must be 0 or above and below --num-shards 2"
        assert output.splitlines()[-1] == message
    options = "--num-shards", 9, "--shard-id", 8
    assert last_line(data, path, *options).startswith("error: --num-shards 9 --shard-id 8: nothing")


def test_constraints_that_data_do_not_have_end_in_one_line(data, checkpoints):
    for name in "deep", "lstm":
        message = last_line(data, checkpoints[name], "--constraints", "unordered")
        assert message.startswith("error: --constraints unordered: these data come without")


def copied(result, translations=None):
    """What the answers must be if each word is the source's at its place of the A- line."""
    sources, alignments = lines(result, "S"), lines(result, "A")
    answers = {}
    for number, line in alignments.items():
        pairs = [map(int, pair.split("-")) for pair in line.split()]
        words = [sources[number].split()[source] for source, _ in pairs]
        answers[number] = " ".join((translations or {}).get(word, word) for word in words)
    return answers


@ATTENTIVE
def test_unknown_words_are_copied_from_where_they_attend(raw, checkpoints, name, tmp_path):
    options = "--dataset-impl", "raw", *ALL_UNKNOWN, "--batch-size", 4
    aligned = *options, "--print-alignment", "hard"
    unreplaced = generate(raw, checkpoints[name], *aligned)
    assert set(" ".join(lines(unreplaced, "H").values()).split()) == {"<unk>"}
    with_alignment = generate(raw, checkpoints[name], *aligned, "--replace-unk")
    expected = copied(with_alignment)
    assert set(NEW.values()) & set(" ".join(expected.values()).split())
    assert lines(with_alignment, "H") == expected
    without = generate(raw, checkpoints[name], *options, "--replace-unk")
    assert lines(without, "H") == expected
    assert not lines(without, "A")
    soft = *options, "--print-alignment", "soft", "--replace-unk"
    assert lines(generate(raw, checkpoints[name], *soft), "H") == expected
    translations = {word: word.upper() for word in [*LETTERS, *NEW.values()]}
    file = tmp_path / "words"
    file.write_text("".join(f"{word} {other}\n" for word, other in translations.items()))
    translated = generate(raw, checkpoints[name], *aligned, "--replace-unk", file)
    assert lines(translated, "H") == copied(translated, translations)


@ATTENTIVE
def test_unknown_words_of_references_are_replaced(raw, checkpoints, name):
    options = "--dataset-impl", "raw", "--score-reference", "--print-alignment", "--replace-unk"
    result = generate(raw, checkpoints[name], *options)
    answers, copies = lines(result, "H"), copied(result)
    references = (raw / "test.in-out.out").read_text().splitlines()
    for number, line in enumerate(references):
        words = zip(line.split(), copies[number].split())
        expected = [copy if word in NEW.values() else word for word, copy in words]
        assert answers[number].split() == expected


@ATTENTIVE
def test_unknown_words_of_typed_lines_are_copied(data, checkpoints, name):
    options = *ALL_UNKNOWN, "--print-alignment", "--replace-unk", "--buffer-size", 3
    typed = "Dora\nc Emil\nc Friedrich Dora d\n"
    result = generate(data, checkpoints[name], *options, command="interactive", stdin=typed)
    assert list(lines(result, "S").values()) == typed.splitlines()
    assert lines(result, "H") == copied(result)
    assert set(lines(result, "H")[0].split()) == {"Dora"}


def test_pieces_are_joined_after_words_are_replaced(raw, checkpoints):
    pieces = shutil.copytree(raw, raw.parent / "pieces")
    for side in "in", "out":
        text = (pieces / f"test.in-out.{side}").read_text().replace("AA", "AA@@")
        (pieces / f"test.in-out.{side}").write_text(text)
    options = "--dataset-impl", "raw", *ALL_UNKNOWN, "--print-alignment", "--replace-unk"
    result = generate(pieces, checkpoints["deep"], *options, "--post-process", "@@ ")
    joined = {number: (text + " ").replace("@@ ", "") for number, text in copied(result).items()}
    assert lines(result, "H") == {number: text.rstrip() for number, text in joined.items()}


def test_replacing_unknown_words_says_what_it_lacks(data, raw, checkpoints, tmp_path):
    option, path = "--replace-unk", checkpoints["deep"]
    assert "--dataset-impl raw" in last_line(data, path, option)
    as_text = "--dataset-impl", "raw"
    assert "which no model of --path has" in last_line(raw, checkpoints["none"], *as_text, option)
    missing = last_line(raw, path, *as_text, option, tmp_path / "words")
    assert missing.startswith(f"error: --replace-unk {tmp_path / 'words'}: cannot be read")
    (tmp_path / "words").write_text("a b\nc\n")
    bad = last_line(raw, path, *as_text, option, tmp_path / "words")
    assert bad.startswith(f"error: --replace-unk {tmp_path / 'words'}: line 2 is not")
    bpe = last_line(raw, path, *as_text, option, "--bpe", "characters")
    assert "which --bpe characters joins" in bpe
    typed = dict(command="interactive", stdin="a\n")
    assert "which --post-process subword_nmt joins" in last_line(
        data, path, option, "--post-process", **typed
    )


def test_what_interactive_cannot_do_ends_in_one_line(data, checkpoints):
    typed = dict(command="interactive", stdin="a\n")
    soft = last_line(data, checkpoints["deep"], "--print-alignment", "soft", **typed)
    assert soft.startswith("error: --print-alignment soft: fairseq-interactive")
    references = last_line(data, checkpoints["deep"], "--score-reference", **typed)
    assert references.startswith("error: --score-reference: fairseq-interactive")


@pytest.mark.parametrize("names", ["deep:none", "none:deep", "none:lstm", "lstm:none:deep"])
def test_ensembles_print_alignments_that_add_up_to_one(data, checkpoints, names):
    paths = ":".join(str(checkpoints[name]) for name in names.split(":"))
    for options in (), ("--score-reference",):
        result = generate(data, paths, "--batch-size", 4, "--print-alignment", "soft", *options)
        sources, alignments = lines(result, "S"), lines(result, "A")
        assert sorted(alignments) == list(range(11))
        for number, line in alignments.items():
            for row in line.split():
                weights = [float(weight) for weight in row.split(",")]
                assert len(weights) == len(sources[number].split()) + 1
                assert sum(weights) == pytest.approx(1, abs=1e-4)
