"""What Python 3.14 changes about command lines: the text of a type, and help that is looked at."""

# ruff: noqa: UP006, UP007, UP035, UP045  # fairseq writes types in these ways

import argparse
import typing
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import List, Optional, Union

import pytest
from fairseq import options
from fairseq.dataclass import ChoiceEnum, FairseqDataclass, utils
from hydra._internal.utils import get_args_parser

from fairseq_lstmn.patches import parsers

Fusion = ChoiceEnum(["shallow", "deep"])


@pytest.mark.parametrize(
    "field_type, parsed",
    [
        (int | None, int),
        (Optional[int], int),
        (Fusion | None, Fusion),
        (Optional[List[int]], List[int]),
        (int | str, int | str),
        (Union[int, str], Union[int, str]),
        (float, float),
        (typing.Any, str),
    ],
)
def test_an_option_is_parsed_as_what_it_is_if_not_none(field_type, parsed):
    assert utils.interpret_dc_type(field_type) == parsed


@dataclass
class Options(FairseqDataclass):
    size: int | None = None
    fusion: Fusion | None = None


def test_options_of_a_union_are_parsed():
    parser = argparse.ArgumentParser()
    utils.gen_parser_from_dataclass(parser, Options())
    assert vars(parser.parse_args([])) == {"size": None, "fusion": None}
    arguments = parser.parse_args(["--size", "3", "--fusion", "deep"])
    assert vars(arguments) == {"size": 3, "fusion": "deep"}


def training_options():
    chosen = "--arch", "lstmn_deep", "--optimizer", "adam", "--max-tokens", "9", "--lr", "0.1,0.2"
    parser = options.get_training_parser()
    return options.parse_args_and_arch(parser, ["data", "--task", "translation", *chosen])


def test_a_training_has_the_same_options_by_whatever_way_its_types_are_written(monkeypatch):
    expected = training_options()
    get_type = FairseqDataclass._get_type

    def since_3_14(config, name):
        """``typing.Union`` is ``types.UnionType``."""
        field_type = get_type(config, name)
        is_union = typing.get_origin(field_type) is Union
        return reduce(or_, typing.get_args(field_type)) if is_union else field_type

    monkeypatch.setattr(FairseqDataclass, "_get_type", since_3_14)
    assert training_options() == expected
    monkeypatch.setattr(utils, "interpret_dc_type", utils.interpret_dc_type.__wrapped__)
    with pytest.raises(ValueError, match="is not callable"):
        training_options()


@pytest.fixture
def looks_at_help(monkeypatch):
    """argparse does as since Python 3.14, and is patched."""
    add_argument = argparse.ArgumentParser.add_argument

    def check_help(parser, action):
        try:
            if action.help:
                "%" in action.help and parser._get_formatter()._expand_help(action)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("badly formed help string") from error

    def add_and_check(parser, *args, **kwargs):
        action = add_argument(parser, *args, **kwargs)
        parser._check_help(action)
        return action

    monkeypatch.setattr(argparse._ActionsContainer, "_check_help", check_help, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", add_and_check)
    with pytest.raises(ValueError, match="badly formed help string"):
        get_args_parser()
    parsers.look_at_texts()


def test_hydras_command_line_is_parsed(looks_at_help):
    assert get_args_parser().parse_args(["a=1"]).overrides == ["a=1"]


def test_fairseqs_are(looks_at_help):
    assert training_options().arch == "lstmn_deep"


def test_help_that_is_a_text_is_looked_at(looks_at_help):
    with pytest.raises(ValueError, match="badly formed help string"):
        argparse.ArgumentParser().add_argument("--part", help="50 % of it")
