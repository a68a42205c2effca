"""examples/language_modeling: data preparation as a user runs it, and README against YAML."""

import os
import random
import subprocess
import zipfile

import pytest
from fairseq.data import Dictionary, data_utils
from fairseq.models import ARCH_CONFIG_REGISTRY
from fairseq_cli import preprocess

from fairseq_lstmn.errors import InputError
from tests.examples.example import (
    EXAMPLES,
    assert_same_training,
    decoded,
    flags_training,
    hydra_training,
    load_script,
    plain,
    readme_commands,
    run_script,
)
from tests.examples.plans import assert_trains_as, check_plan

EXAMPLE = EXAMPLES / "language_modeling"
SCRIPT = EXAMPLE / "prepare.py"

SPLITS = "train", "valid", "test"
# The words of the Penn Treebank's text: 10,000 with the end of a sentence.
PTB_WORDS = ["<unk>", "N"] + [f"word{i}" for i in range(9997)]


prepare = load_script(SCRIPT)


def some_lines(number, seed):
    rng = random.Random(seed)
    return [
        " " + " ".join(rng.choices(PTB_WORDS[:50], k=rng.randint(1, 20))) + " "
        for _ in range(number)
    ]


def ptb_like():
    """Return {split: text}: every word in training, a sentence a line, spaces around."""
    every_word = [" " + " ".join(PTB_WORDS[i : i + 20]) + " " for i in range(0, 9999, 20)]
    lines = {
        "train": every_word + some_lines(100, seed=1),
        "valid": some_lines(30, seed=2),
        "test": some_lines(20, seed=3),
    }
    return {split: "\n".join(lines[split]) + "\n" for split in SPLITS}


def wikitext_like():
    """Return {split: text} with blank lines, headings and words beyond ASCII."""
    page = " \n = Café <unk> = \n \n Café 2 @.@ 5 – <unk> naïve . \n"
    return {"train": page * 9, "valid": page * 2, "test": page}


def write_ptb(folder, texts, prefix="ptb."):
    folder.mkdir()
    for split, text in texts.items():
        (folder / f"{prefix}{split}.txt").write_text(text, encoding="utf-8")
    return folder


def write_wikitext(path, texts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for split, text in texts.items():
            archive.writestr(f"wikitext-2/wiki.{split}.tokens", text)
    return path


def words_of(text):
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def ptb(tmp_path_factory):
    """A folder that ``prepare.py ptb`` has made, and the texts it was made from."""
    here, texts = tmp_path_factory.mktemp("ptb"), ptb_like()
    source = write_ptb(here / "source", texts)
    done = run_script(SCRIPT, "ptb", "--from", source, "--dest", here / "data" / "ptb")
    assert done.returncode == 0, done.stderr
    assert os.listdir(here / "data") == ["ptb"]
    return here / "data" / "ptb", texts


def test_ptb_text_is_kept_and_encoded_word_by_word(ptb):
    folder, texts = ptb
    for split in SPLITS:
        assert (folder / f"{split}.txt").read_text(encoding="utf-8") == texts[split]
        assert decoded(folder / "bin" / split, folder / "bin" / "dict.txt") == words_of(
            texts[split]
        )


def test_ptb_vocabulary_is_that_of_the_corpus(ptb):
    dictionary = Dictionary.load(str(ptb[0] / "bin" / "dict.txt"))
    scored = set(dictionary.symbols) - {dictionary.bos_word, dictionary.pad_word}
    assert scored == set(PTB_WORDS) | {dictionary.eos_word}
    assert len(scored) == 10000


def test_unk_of_the_corpus_is_unk_of_fairseq(ptb):
    folder, texts = ptb
    dictionary = Dictionary.load(str(folder / "bin" / "dict.txt"))
    sentences = data_utils.load_indexed_dataset(str(folder / "bin" / "train"), dictionary)
    encoded = sum(int(sentence.eq(dictionary.unk()).sum()) for sentence in sentences)
    assert encoded == texts["train"].split().count("<unk>") > 1


def test_split_names_without_prefix(tmp_path):
    texts = ptb_like()
    source = write_ptb(tmp_path / "source", texts, prefix="")
    assert prepare.read_ptb(source) == {k: v.encode() for k, v in texts.items()}


def test_wikitext_from_an_address(tmp_path):
    texts = wikitext_like()
    archive = write_wikitext(tmp_path / "wikitext-2-v1.zip", texts)
    prepare.main(["wikitext2", "--from", archive.as_uri(), "--dest", str(tmp_path / "wt2")])
    binary = tmp_path / "wt2" / "bin"
    for split in SPLITS:
        text = (tmp_path / "wt2" / f"{split}.txt").read_bytes()
        assert text.decode("utf-8") == texts[split]
        assert decoded(binary / split, binary / "dict.txt") == words_of(texts[split])


def test_wikitext_from_a_file(tmp_path):
    texts = wikitext_like()
    archive = write_wikitext(tmp_path / "wikitext-2-v1.zip", texts)
    read = prepare.read_wikitext2(str(archive))
    assert read == {split: text.encode() for split, text in texts.items()}


def test_error_is_one_line_and_leaves_nothing(tmp_path):
    source = write_ptb(tmp_path / "source", {"train": "a b\n", "valid": "a\n"})
    done = run_script(SCRIPT, "ptb", "--from", source, "--dest", tmp_path / "data" / "ptb")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"error: --from {source}: has neither ptb.test.txt nor test.txt"
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["source"]


def with_valid(content):
    """Return a change to a PTB folder: its validation file holds ``content`` (bytes)."""
    return lambda folder: (folder / "ptb.valid.txt").write_bytes(content)


def folder_in_place_of_valid(folder):
    (folder / "ptb.valid.txt").unlink()
    (folder / "ptb.valid.txt").mkdir()


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (with_valid(b""), "ptb.valid.txt: empty"),
        (with_valid(b" \n \n"), "ptb.valid.txt: empty"),
        (with_valid(b"caf\xe9 \n"), r"ptb.valid.txt: not UTF-8 text \(at byte 3\)"),
        (with_valid(b"a <pad> b\n"), "ptb.valid.txt: contains <pad>"),
        (folder_in_place_of_valid, r"ptb.valid.txt: cannot be read \(Is a directory\)"),
    ],
)
def test_bad_ptb_text(tmp_path, spoil, complaint):
    source = write_ptb(tmp_path / "source", ptb_like())
    spoil(source)
    with pytest.raises(InputError, match=complaint):
        prepare.main(["ptb", "--from", str(source), "--dest", str(tmp_path / "ptb")])
    assert os.listdir(tmp_path) == ["source"]


def test_missing_source_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        prepare.read_ptb(tmp_path / "nowhere")


def test_bad_archives(tmp_path):
    page = tmp_path / "page.zip"
    page.write_text("<html>404</html>")
    with pytest.raises(InputError, match="page.zip: not a sound zip archive"):
        prepare.read_wikitext2(str(page))

    incomplete = write_wikitext(tmp_path / "incomplete.zip", {"train": "a\n", "valid": "a\n"})
    with pytest.raises(InputError, match="incomplete.zip: has no wiki.test.tokens"):
        prepare.read_wikitext2(str(incomplete))

    damaged = write_wikitext(tmp_path / "damaged.zip", wikitext_like())
    content = bytearray(damaged.read_bytes())
    content[70:80] = bytes(10)
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="damaged.zip: not a sound zip archive"):
        prepare.read_wikitext2(str(damaged))

    empty = write_wikitext(tmp_path / "empty.zip", {**wikitext_like(), "valid": "\n"})
    with pytest.raises(InputError, match="empty.zip/wikitext-2/wiki.valid.tokens: empty"):
        prepare.read_wikitext2(str(empty))

    with pytest.raises(InputError, match="absent.zip: cannot be read"):
        prepare.read_wikitext2(str(tmp_path / "absent.zip"))
    with pytest.raises(InputError, match="absent.zip: cannot be downloaded"):
        prepare.read_wikitext2((tmp_path / "absent.zip").as_uri())


def test_existing_destination_is_not_touched(tmp_path):
    source = write_ptb(tmp_path / "source", ptb_like())
    dest = tmp_path / "ptb"
    dest.mkdir()
    (dest / "notes").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        prepare.main(["ptb", "--from", str(source), "--dest", str(dest)])
    assert os.listdir(dest) == ["notes"]


def test_destination_that_cannot_be_made(tmp_path):
    source = write_ptb(tmp_path / "source", ptb_like())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        prepare.main(["ptb", "--from", str(source), "--dest", str(tmp_path / "file" / "ptb")])


def test_failure_of_fairseq_leaves_nothing_but_what_it_said(tmp_path, monkeypatch, capsys):
    source = write_ptb(tmp_path / "source", ptb_like())

    def fail():
        raise OSError("No space left on device")

    monkeypatch.setattr(preprocess, "cli_main", fail)
    with pytest.raises(subprocess.CalledProcessError):
        prepare.main(["ptb", "--from", str(source), "--dest", str(tmp_path / "ptb")])
    assert os.listdir(tmp_path) == ["source"]
    assert "OSError: No space left on device" in capsys.readouterr().err


def readme_training():
    """Return the configuration that the README's flags for the paper's model give."""
    [words] = [w for w in readme_commands(EXAMPLE) if {"lstmn_lm_ptb", "data/ptb/bin"} <= set(w)]
    return flags_training(words)


def yaml_training(name):
    cfg = hydra_training(EXAMPLE, name, "data/ptb/bin")
    ARCH_CONFIG_REGISTRY[cfg.model._name](cfg.model)  # as fairseq does to build the model
    return cfg


def test_yaml_gives_the_training_of_the_flags():
    flags, yaml = readme_training(), yaml_training("lstmn_lm_ptb")
    assert plain(yaml.model) == plain(flags.model)
    assert_same_training(yaml, flags)

    optimizer, options_given = plain(yaml.optimizer), vars(flags.optimizer)
    assert optimizer.pop("_name") == options_given["optimizer"] == "sgd"
    assert optimizer == {name: options_given[name] for name in optimizer}


@pytest.mark.parametrize("model, arch", [("lstm", "lstm_lm"), ("lstmn", "lstmn_lm_ptb")])
def test_plan_trains_as_the_flags(model, arch):
    wanted = {"fairseq-train", arch, "data/ptb/bin"}
    [words] = [words for words in readme_commands(EXAMPLE) if wanted <= set(words)]
    assert_trains_as("language_modeling/table1", model, words)


@pytest.fixture
def here(ptb, tmp_path, monkeypatch):
    """The working directory, with the text where plans look for it."""
    monkeypatch.chdir(tmp_path)
    for place in "data/ptb/bin", "data/text/bin", "quickstart/data-bin":
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).symlink_to(ptb[0] / "bin")


@pytest.mark.parametrize("plan", ["table1", "contiguous_rivals"])
def test_plan(here, capsys, plan):
    check_plan(f"language_modeling/{plan}", capsys)


@pytest.mark.parametrize("plan", ["contiguous", "sentences", "rivals"])
def test_plan_of_the_same_task(here, capsys, plan, check):
    check(f"language_modeling/{plan}", capsys)


def test_three_layers_differ_in_depth_alone():
    one, three = plain(yaml_training("lstmn_lm_ptb")), plain(yaml_training("lstmn_lm_ptb_3layer"))
    assert one["model"].pop("decoder_layers") is None  # one by default
    assert three["model"].pop("decoder_layers") == 3
    assert one["model"].pop("_name") != three["model"].pop("_name")
    assert one["checkpoint"].pop("save_dir") != three["checkpoint"].pop("save_dir")
    assert three == one
