"""Which reader a trained model needs, and how lines reach it."""

from collections.abc import Callable
from typing import Any

from fairseq.models import BaseFairseqModel, FairseqEncoderDecoderModel

from fairseq_lstmn.attend.readers.classification import PairReader, SentenceReader
from fairseq_lstmn.attend.readers.language import LanguageReader
from fairseq_lstmn.attend.readers.translation import TranslationReader
from fairseq_lstmn.attend.stream import Reader
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.models.classifiers import LSTMNClassifier
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModel
from fairseq_lstmn.models.nli import LSTMNPairModel

READERS: dict[type[BaseFairseqModel], Callable[[Trained], Reader[Any]]] = {
    LSTMNLanguageModel: LanguageReader,
    LSTMNClassifier: SentenceReader,
    LSTMNPairModel: PairReader,
}


def reader(trained: Trained, beam: int = 5) -> Reader[Any]:
    """The reader of a ``Trained`` model; ``beam`` is for translations that are not given.

    Raises InputError for a model without attention that could be shown.
    """
    for model, made in READERS.items():
        if isinstance(trained.model, model):
            return made(trained)
    if isinstance(trained.model, FairseqEncoderDecoderModel):
        return TranslationReader(trained, beam)
    name = type(trained.model).__name__
    raise InputError(f"{trained.path}: its model ({name}) has no tape and no other attention")
