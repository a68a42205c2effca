"""Trained models that read lines of text: a module for each kind, registered by ``reads``."""

from fairseq_lstmn.attend.readers import classification, language, translation
from fairseq_lstmn.attend.readers.base import Reader, reader, readings

__all__ = ["Reader", "classification", "language", "reader", "readings", "translation"]
