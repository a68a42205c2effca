"""What a kind of task is to a comparison: a class a kind, in a module of its own."""

from fairseq_lstmn.compare.kinds import classification, language, recall, translation  # noqa: F401
