"""torch's DistributedDataParallel, without ``find_unused_parameters``, finds all parameters used.

It waits for a gradient of every parameter, so one that is left out of a batch's graph, such as
the attention of a first token that has nothing to attend, would end the training.
"""

import pytest
import torch
from fairseq.models import MODEL_DATACLASS_REGISTRY
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from fairseq_lstmn.models.classifiers import LSTMNClassifierConfig, TCNNClassifierConfig
from fairseq_lstmn.models.lstmn import LSTMNConfig
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModelConfig
from fairseq_lstmn.models.nli import LSTMNPairConfig, LSTMPairConfig
from tests.models.small import build, small_task, some_tokens

READER = dict(encoder_embed_dim=5, encoder_hidden_size=8)
WIDTHS = dict(decoder_embed_dim=5, decoder_hidden_size=8, decoder_out_embed_dim=7)
WRITER = dict(**WIDTHS, criterion_name="cross_entropy")
BOTH = dict(**READER, **WRITER, max_source_positions=50, max_target_positions=50)
MODELS = [
    LSTMNLanguageModelConfig(**WRITER),
    LSTMNLanguageModelConfig(**WRITER, decoder_layers=2, skip_connections=True, distance_bias=2),
    LSTMNLanguageModelConfig(**WRITER, memory_span=1),
    LSTMNLanguageModelConfig(**WRITER, pointer=True),
    LSTMNLanguageModelConfig(**WRITER, pointer=True, tape_layers=0),
    LSTMNConfig(**BOTH, attention_fusion="none"),
    LSTMNConfig(**BOTH, attention_fusion="shallow", encoder_bidirectional=True),
    LSTMNConfig(**BOTH, attention_fusion="deep", encoder_layers=2, decoder_layers=2),
    LSTMNClassifierConfig(**READER, distance_bias=2),
    TCNNClassifierConfig(**READER),
    LSTMNPairConfig(**READER, attention_fusion="none"),
    LSTMNPairConfig(**READER, attention_fusion="shallow", shallow_query="summary"),
    LSTMNPairConfig(**READER, attention_fusion="deep", separate_readers=True),
    LSTMPairConfig(**READER),
]
NAMES = {kind: name for name, kind in MODEL_DATACLASS_REGISTRY.items()}


@pytest.fixture(scope="module")
def process_group():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def arguments(name, task, steps):
    """What a batch of three sentences of ``steps`` tokens each gives to a model."""
    tokens, lengths = some_tokens(task, 3, steps), torch.full((3,), steps)
    source = dict(src_tokens=tokens, src_lengths=lengths)
    if name.endswith("_lm"):
        return source
    if name == "lstmn":
        return dict(**source, prev_output_tokens=tokens)
    head = dict(classification_head_name="head")
    if name.endswith("_nli"):
        return dict(**source, hypothesis_tokens=tokens, hypothesis_lengths=lengths, **head)
    return dict(**source, **head)


@pytest.mark.parametrize("config", MODELS, ids=lambda config: NAMES[type(config)])
@pytest.mark.parametrize("steps", [1, 4])
def test_every_parameter_gets_a_gradient(process_group, config, steps):
    name, task = NAMES[type(config)], small_task()
    model = build(config, name, task).train()
    if hasattr(model, "register_classification_head"):
        model.register_classification_head("head", num_classes=3)
    together = DistributedDataParallel(model)
    for _ in range(2):  # the second forward pass asks for the gradients of the first
        scores, _ = together(**arguments(name, task, steps))
        scores.logsumexp(dim=-1).sum().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and all(parameter.grad is not None for parameter in trained)


@pytest.mark.parametrize("config", MODELS, ids=lambda config: NAMES[type(config)])
def test_a_checkpoint_holds_nothing_but_weights(config):
    """fairseq's averages add up and divide whatever stands there."""
    state = build(config, NAMES[type(config)]).state_dict()
    assert state and all(value.is_floating_point() for value in state.values())
