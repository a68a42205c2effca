"""examples/translation: the data as a user makes it, README against YAML, and plans."""

import io
import os
import random
import tarfile
from datetime import date

import pytest
import sentencepiece
from omegaconf import OmegaConf

from fairseq_lstmn.data.data_folder import Normalisation
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
from tests.fairseq_commands import run, write_sentences

EXAMPLE = EXAMPLES / "translation"
SPLITS = "train", "valid", "test"

dates = load_script(EXAMPLE / "dates_and_numbers.py")
iwslt = load_script(EXAMPLE / "prepare_iwslt14.py")

# Dates and numbers


@pytest.mark.parametrize(
    "phrasings, said",
    [
        (dates.english_numbers(7305), "seven thousand three hundred and five"),
        (dates.english_numbers(7305), "seven thousand three hundred five"),
        (dates.english_numbers(7305), "seventy three hundred and five"),
        (dates.english_numbers(100000), "one hundred thousand"),
        (dates.english_numbers(40012), "forty thousand and twelve"),
        (dates.german_numbers(7305), "sieben@@ tausend@@ drei@@ hundert@@ fünf"),
        (dates.german_numbers(1), "eins"),
        (dates.german_numbers(101), "hundert@@ eins"),
        (dates.german_numbers(101), "ein@@ hundert@@ und@@ eins"),
        (dates.german_numbers(21000), "ein@@ und@@ zwanzig@@ tausend"),
        (dates.german_numbers(101000), "hundert@@ ein@@ tausend"),
        (dates.german_numbers(1200), "zwölf@@ hundert"),
        (dates.english_dates(date(1984, 3, 23)), "the twenty third of march nineteen eighty four"),
        (dates.english_dates(date(1905, 6, 12)), "june the twelfth nineteen oh five"),
        (dates.english_dates(date(1905, 6, 30)), "june thirtieth nineteen hundred and five"),
        (dates.english_dates(date(2004, 1, 1)), "on the first of january two thousand and four"),
        (dates.english_dates(date(2012, 1, 2)), "january second twenty twelve"),
        (
            dates.german_dates(date(1984, 3, 23)),
            "am drei@@ und@@ zwanzig@@ sten märz neunzehn@@ hundert@@ vier@@ und@@ achtzig",
        ),
        (dates.german_dates(date(2004, 4, 3)), "der dritte vier@@ te zwei@@ tausend@@ vier"),
        (dates.german_dates(date(1900, 7, 20)), "am zwanzig@@ sten siebten neunzehn@@ hundert"),
        (dates.english_times(19, 30), "half past seven in the evening"),
        (dates.english_times(0, 35), "at twenty five to one in the morning"),
        (dates.english_times(12, 5), "twelve oh five in the afternoon"),
        (dates.english_times(23, 45), "quarter to twelve in the evening"),
        (dates.english_times(8, 0), "eight o'clock in the morning"),
        (dates.german_times(0, 30), "halb eins nachts"),
        (dates.german_times(19, 25), "um fünf vor halb acht abends"),
        (dates.german_times(12, 37), "drei@@ und@@ zwanzig vor eins nachmittags"),
        (dates.german_times(12, 35), "fünf nach halb eins nachmittags"),
        (dates.german_times(7, 45), "viertel vor acht morgens"),
        (dates.german_times(1, 17), "ein uhr siebzehn"),
        (dates.german_times(21, 0), "ein@@ und@@ zwanzig uhr"),
    ],
)
def test_phrasings(phrasings, said):
    assert said in phrasings


UNITS = {word: n for words in (dates.ENGLISH, dates.GERMAN) for n, word in enumerate(words)}
TENS = {
    word: 10 * n
    for words in (dates.ENGLISH_TENS, dates.GERMAN_TENS)
    for n, word in enumerate(words)
}


def value_of(phrasing):
    """Read a number in words, whatever its language."""
    thousands = rest = 0
    for word in phrasing.replace("@@", "").split():
        if word in ("thousand", "tausend"):
            thousands, rest = 1000 * max(rest, 1), 0
        elif word in ("hundred", "hundert"):
            rest = 100 * max(rest, 1)
        elif word not in ("and", "und"):
            rest += {"ein": 1, **UNITS, **TENS}[word]
    return thousands + rest


def test_every_phrasing_of_a_number_says_it():
    draw = random.Random(1)
    for n in [*range(1, 2200), *(draw.randrange(2200, 1000000) for _ in range(2000))]:
        said = dates.english_numbers(n) + dates.german_numbers(n)
        assert [value_of(phrasing) for phrasing in said] == [n] * len(said)


def test_no_sentence_has_two_meanings():
    draw = random.Random(1)
    days = range(dates.FIRST_DAY.toordinal(), dates.LAST_DAY.toordinal() + 1)
    meanings = {}
    for day in map(date.fromordinal, draw.sample(days, 5000)):
        for sentence in dates.english_dates(day) + dates.german_dates(day):
            assert meanings.setdefault(sentence, day) == day
    for time in [(hour, minute) for hour in range(24) for minute in range(60)]:
        for sentence in dates.english_times(*time) + dates.german_times(*time):
            assert meanings.setdefault(sentence, time) == time
    for n in range(1, 20000):
        for sentence in dates.english_numbers(n) + dates.german_numbers(n):
            assert meanings.setdefault(sentence, n) == n


def test_splits_share_neither_sentences_nor_what_they_mean():
    texts = dates.corpus(20000, seed=1)
    for one, other in ("train", "valid"), ("train", "test"), ("valid", "test"):
        assert not set(texts[one]) & set(texts[other])
        assert not set(texts[one].values()) & set(texts[other].values())
    for split, sentences in texts.items():
        assert len(sentences) > (14000 if split == "train" else 700)
        signs = {sign for normal_form in sentences.values() for sign in normal_form}
        assert signs == set("0123456789-:")
        words = {word for sentence in sentences for word in sentence.split()}
        assert {"thousand", "tausend", "march", "märz", "evening", "abends"} <= words | {
            word.removesuffix("@@") for word in words
        }


def test_all_words_of_the_test_set_occur_in_training():
    texts = dates.corpus(50000, seed=1)
    known = {word for sentence in texts["train"] for word in sentence.split()}
    assert {word for sentence in texts["test"] for word in sentence.split()} <= known


def test_seed_decides():
    assert dates.corpus(300, seed=1) == dates.corpus(300, seed=1)
    assert dates.corpus(300, seed=1) != dates.corpus(300, seed=2)


def test_dates_are_written_and_binarised(tmp_path):
    script = EXAMPLE / "dates_and_numbers.py"
    dest = tmp_path / "data" / "dates"
    done = run_script(script, "--dest", dest, "--pairs", 300, "--seed", 7)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "data") == ["dates"]
    for split, pairs in dates.corpus(300, seed=7).items():
        words = (dest / f"{split}.words").read_text(encoding="utf-8").splitlines()
        digits = (dest / f"{split}.digits").read_text(encoding="utf-8").splitlines()
        assert dict(zip(words, digits)) == {w: " ".join(form) for w, form in pairs.items()}
        text = dest / "bin" / f"{split}.words-digits"
        assert decoded(f"{text}.digits", dest / "bin" / "dict.digits.txt") == digits
        if split == "train":
            assert decoded(f"{text}.words", dest / "bin" / "dict.words.txt") == words


def test_too_few_pairs(tmp_path):
    with pytest.raises(InputError, match="--pairs 2: too few for training, validation and test"):
        dates.main(["--dest", str(tmp_path / "dates"), "--pairs", "2"])
    assert os.listdir(tmp_path) == []


def test_existing_destination_is_not_touched(tmp_path):
    for main in dates.main, iwslt.main:
        with pytest.raises(InputError, match="exists already"):
            main(["--dest", str(tmp_path)])
    assert os.listdir(tmp_path) == []


# IWSLT'14

TALK = """\
<url>http://www.ted.com/talks/{n}</url>
<keywords>talks, {language}</keywords>
<speaker>Somebody</speaker>
<talkid>{n}</talkid>
<title>{language} title {n}</title>
<description>{language} &amp; description {n}</description>
 {language} Sentence one of {n}, it’s short.\u2028\x20
<reviewer></reviewer>
"""
TEST_SET = """\
<?xml version="1.0" encoding="UTF-8"?>
<doc docid="1" genre="lectures">
<title>not asked for</title>
<seg id="1"> {language} from {name} </seg>
<seg id="2">Tom &amp; Jerry’s</seg>
</doc>
"""
TEST_NAMES = "TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"


def iwslt_files():
    files = {}
    for language in "de", "en":
        talks = "".join(TALK.format(n=n, language=language) for n in range(20))
        long = "word " * (7 if language == "de" else 4)
        longest = "word " * 176
        files[f"train.tags.de-en.{language}"] = talks + f"{long}\n\n{longest}\nthe end\n"
        for name in TEST_NAMES:
            text = TEST_SET.format(language=language, name=name)
            files[f"IWSLT14.{name}.de-en.{language}.xml"] = text
    return files


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            member = tarfile.TarInfo(f"de-en/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def lines_of(path):
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder that ``prepare_iwslt14.py --lowercase`` has made."""
    here = tmp_path_factory.mktemp("iwslt")
    archive = write_archive(here / "de-en.tgz", iwslt_files())
    dest = here / "data" / "iwslt14"
    iwslt.main(["--from", str(archive), "--dest", str(dest), "--pieces", "90", "--lowercase"])
    assert os.listdir(here / "data") == ["iwslt14"]
    assert Normalisation.of_data(str(dest / "bin")) == Normalisation(lower_case=True)
    return dest


def test_selection_of_training_and_validation_pairs(tmp_path):
    archive = write_archive(tmp_path / "de-en.tgz", iwslt_files())
    splits = iwslt.split_corpus(*iwslt.read_corpus(archive.as_uri()))
    kept = []
    for n in range(20):
        for text in f"title {n}", f"& description {n}", f"Sentence one of {n}, it's short.":
            kept.append((f"de {text}", f"en {text}"))
    kept.append(("the end", "the end"))
    assert splits["valid"] == [kept[22], kept[45]]
    assert splits["train"] == kept[:22] + kept[23:45] + kept[46:]


def test_test_set_is_the_five_sets_in_order(corpus):
    expected = []
    for name in TEST_NAMES:
        expected += [f"en from {name.lower()}", "tom & jerry's"]
    assert lines_of(corpus / "test.en") == expected


def test_pieces_give_the_text_back(corpus):
    model = sentencepiece.SentencePieceProcessor(model_file=str(corpus / "pieces.model"))
    assert model.get_piece_size() == 90
    for split in SPLITS:
        for language in "de", "en":
            text = lines_of(corpus / f"{split}.{language}")
            pieces = lines_of(corpus / f"{split}.pieces.{language}")
            assert [model.decode(line.split()) for line in pieces] == text


def test_pieces_are_binarised(corpus):
    for language in "de", "en":
        binary = corpus / "bin" / f"train.de-en.{language}"
        dictionary = corpus / "bin" / f"dict.{language}.txt"
        assert decoded(binary, dictionary) == lines_of(corpus / f"train.pieces.{language}")


def test_case_is_kept_unless_asked_otherwise(tmp_path, corpus):
    assert not any(line != line.lower() for line in lines_of(corpus / "train.de"))
    training, _ = iwslt.read_corpus(str(write_archive(tmp_path / "a.tgz", iwslt_files())))
    assert ("de Sentence one of 0, it's short.", "en Sentence one of 0, it's short.") in training


def spoilt(name, content):
    """The archive's files with ``content`` for one of them, or without it."""
    return {**{k: v for k, v in iwslt_files().items() if k != name}, **content}


@pytest.mark.parametrize(
    "files, complaint",
    [
        (spoilt("train.tags.de-en.en", {}), "de-en.tgz/train.tags.de-en.en: not in the archive"),
        (
            spoilt("", {"train.tags.de-en.en": "one\n"}),
            "train.tags.de-en.de: 64 sentences, but 1 in English",
        ),
        (
            spoilt("", {"IWSLT14.TED.tst2012.de-en.de.xml": b"caf\xe9"}),
            r"IWSLT14.TED.tst2012.de-en.de.xml: not UTF-8 text \(at byte 3\)",
        ),
        (iwslt_files(), "--pieces 10000: cannot be learnt .*Vocabulary size too high"),
    ],
)
def test_bad_archives(tmp_path, files, complaint):
    archive = write_archive(tmp_path / "de-en.tgz", files)
    with pytest.raises(InputError, match=complaint):
        iwslt.main(["--from", str(archive), "--dest", str(tmp_path / "iwslt14")])
    assert os.listdir(tmp_path) == ["de-en.tgz"]


def test_damaged_archive(tmp_path):
    archive = write_archive(tmp_path / "de-en.tgz", iwslt_files())
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(InputError, match="de-en.tgz: not a sound tar archive"):
        iwslt.read_corpus(str(archive))
    archive.write_text("<html>404</html>")
    with pytest.raises(InputError, match="de-en.tgz: not a sound tar archive"):
        iwslt.read_corpus(str(archive))


# README and YAML


@pytest.mark.parametrize("fusion", ["deep", "shallow"])
def test_yaml_gives_the_training_of_the_flags(fusion):
    arch = f"lstmn_{fusion}"
    [words] = [w for w in readme_commands(EXAMPLE) if {"fairseq-train", "data/dates/bin"} <= set(w)]
    words = [word.replace("$arch", arch) for word in words]
    # the options of all three models have the same names
    flags = flags_training(["lstm" if word == arch else word for word in words])
    yaml = hydra_training(EXAMPLE, arch, "data/dates/bin")
    assert_same_training(yaml, flags)
    assert plain(yaml.optimizer) == plain(flags.optimizer)
    model = plain(OmegaConf.load(EXAMPLE / "config" / f"{arch}.yaml").model)
    assert model.pop("_name") == arch
    assert model == {name: vars(flags.model)[name] for name in model}


# Plans


@pytest.mark.parametrize(
    "plan, data, architectures",
    [
        (
            "dates",
            "data/dates/bin",
            {"lstm": "lstm", "shallow": "lstmn_shallow", "deep": "lstmn_deep"},
        ),
        (
            "iwslt14",
            "data/iwslt14/bin",
            {
                "lstm": "lstm_wiseman_iwslt_de_en",
                "shallow": "lstmn_shallow_iwslt_de_en",
                "deep": "lstmn_deep_iwslt_de_en",
            },
        ),
    ],
)
def test_plan_trains_as_the_flags(plan, data, architectures):
    [words] = [w for w in readme_commands(EXAMPLE) if {"fairseq-train", data} <= set(w)]
    for model, arch in architectures.items():
        words_of_arch = [word.replace("$arch", arch) for word in words]
        assert_trains_as(f"translation/{plan}", model, words_of_arch)


def test_plan_of_dates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dates.main(["--dest", "data/dates", "--pairs", "300"])
    check_plan("translation/dates", capsys)


def test_plan_of_iwslt14(corpus, monkeypatch, capsys, check):
    monkeypatch.chdir(corpus.parents[1])
    check("translation/iwslt14", capsys)


def test_plan_of_multi30k(tmp_path, monkeypatch, capsys, check):
    monkeypatch.chdir(tmp_path)
    for split, count in {"train": 60, "valid": 11, "test": 11}.items():
        for language in ("de", "en"):
            write_sentences(tmp_path / f"{split}.pieces.{language}", count)
    texts = [f"--{split}pref={split}.pieces" for split in ("train", "valid", "test")]
    languages = "--source-lang", "de", "--target-lang", "en", "--joined-dictionary"
    run("preprocess", *languages, *texts, "--destdir", "multi30k/bin", cwd=tmp_path)
    check("translation/multi30k", capsys)
