"""Every model that starts from a file of vectors names its option, and leaves bad lines out."""

import pytest

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.classifiers import LSTMNClassifierConfig
from fairseq_lstmn.models.lstmn import LSTMNConfig
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModelConfig
from fairseq_lstmn.models.nli import LSTMNPairConfig
from tests.models import small

READER = dict(encoder_embed_dim=2, encoder_hidden_size=8)
WRITER = dict(decoder_embed_dim=2, decoder_hidden_size=8, decoder_out_embed_dim=8)
WRITER.update(criterion_name="cross_entropy")
BOTH = dict(**READER, **WRITER, max_source_positions=50, max_target_positions=50)


@pytest.mark.parametrize(
    "config, arch, options, side",
    [
        (LSTMNClassifierConfig, "lstmn_classifier", READER, "encoder"),
        (LSTMNPairConfig, "lstmn_nli", READER, "encoder"),
        (LSTMNConfig, "lstmn", BOTH, "encoder"),
        (LSTMNConfig, "lstmn", BOTH, "decoder"),
        (LSTMNLanguageModelConfig, "lstmn_lm", WRITER, "decoder"),
    ],
)
def test_bad_vectors(tmp_path, config, arch, options, side):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"".join(b"w%d 1 2\n" % k for k in range(9)) + b"caf\xe9 1 2\n")
    options = {**options, f"{side}_embed_path": str(path)}
    with pytest.raises(InputError, match=f"^--{side}-embed-path {path}, line 10: 'caf.xe9' is not"):
        small.build(config(**options), arch)
    model = small.build(config(**options, skip_bad_vectors=True), arch)
    assert any(embedding.tolist()[4:13] == [[1, 2]] * 9 for embedding in model.parameters())
