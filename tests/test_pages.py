"""Every page: its links lead somewhere, and its commands are ones that the programs understand.

The README's are run as well, by test_readme.py, and the examples' plans and data by tests/examples.
"""

import re
import shlex
import sys
from argparse import ArgumentParser
from importlib.metadata import entry_points

import pytest

import fairseq_lstmn.cli
from tests.examples.example import ROOT, compose, initialize_config_dir, load_script
from tests.pages import PAGES, blocks, commands, text_of

# commands that are not looked at, by how they begin, and why
ELSEWHERE = {
    "grep": "every system has it",
    "head": "every system has it",
    "sort": "every system has it",
    "cut": "every system has it",
    "source .venv/bin/activate": "of the environment, which Python makes",
    "pip": "needs an index of packages, or a network",
    "shtab": "is not installed with the package",
    "python3.14": "is untested",
}


class Parsed(Exception):
    """A program has understood its options, which are here."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """{page: its commands}."""
    return {page: commands(page, tmp_path_factory.mktemp("page")) for page in PAGES}


def parsed(monkeypatch, program, words):
    """What ``program``, a function, makes of its options; it goes no further."""
    parse = ArgumentParser.parse_args

    def then_stop(self, *arguments, **more):
        raise Parsed(parse(self, *arguments, **more))

    with monkeypatch.context() as patched, pytest.raises(Parsed) as stopped:
        patched.setattr(ArgumentParser, "parse_args", then_stop)
        patched.setattr(sys, "argv", words)
        program()
    return stopped.value.args[0]


def check(monkeypatch, words):
    """Whether a program would take the options of a command."""
    program, *arguments = words
    for word in words:
        if word.startswith(("examples/", "scripts/")):
            assert (ROOT / word).exists()
    if program == "bash":
        assert arguments[0].startswith("scripts/")
    elif program == "python":
        parsed(monkeypatch, load_script(ROOT / arguments[0]).main, arguments)
    elif program == "sbatch":
        check(monkeypatch, ["fairseq-train", *arguments[1:]])
    elif program == "fairseq-lstmn":
        fairseq_lstmn.cli._arguments(fairseq_lstmn.cli.parser(), arguments)
    else:
        [script] = entry_points(group="console_scripts", name=program)
        options = parsed(monkeypatch, script.load(), words)
        if program == "torchrun":
            assert options.module and options.training_script == "fairseq_cli.train"
            check(monkeypatch, ["fairseq-train", *options.training_script_args])
        elif program == "fairseq-hydra-train":
            with initialize_config_dir(str(ROOT / options.config_dir)):
                compose(options.config_name, overrides=options.overrides)


def reasons(command):
    """The beginnings in ``ELSEWHERE`` of a command."""
    line = shlex.join(shlex.split(command))
    return {start for start in ELSEWHERE if f"{line} ".startswith(f"{start} ")}


@pytest.mark.parametrize("page", PAGES)
def test_programs_understand_their_options(page, shown, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in shown[page]:
        if not reasons(command):
            check(monkeypatch, shlex.split(command))


def test_what_is_not_looked_at_stands_on_a_page(shown):
    assert set().union(*map(reasons, sum(shown.values(), []))) == set(ELSEWHERE)


PROGRAMS = re.compile(r"(?:\w+=\S+ )*(?:bash|python|pip|shtab|torchrun|sbatch|fairseq-[a-z-]+)\b")


@pytest.mark.parametrize("page", PAGES)
def test_commands_stand_in_blocks_of_bash(page):
    text = text_of(page)
    for block in re.findall(r"^```\w*\n.*?^```\n", text, flags=re.DOTALL | re.MULTILINE):
        text = text.replace(block, "")
    indented = re.findall(r"^    (\S.*)", text, flags=re.MULTILINE)
    unnamed = "".join(blocks(page, "")).splitlines()
    assert [line for line in indented + unnamed if PROGRAMS.match(line)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if not link.startswith("https://"):
            path, _, place = link.partition("#")
            there = (ROOT / page).parent / path if path else ROOT / page
            assert there.exists(), link
            if place:
                there = there / "README.md" if there.is_dir() else there
                headings = re.findall(r"^#+ (.*)", there.read_text(encoding="utf-8"), re.MULTILINE)
                assert place in map(anchor, headings), link


def anchor(heading):
    """What a heading is called in links."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
