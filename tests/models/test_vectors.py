"""Every model that starts from a file of vectors names its option, and leaves bad lines out."""

import pytest

from fairseq_lstmn.errors import InputError
from tests.models import small


@pytest.mark.parametrize(
    "arch, side",
    [
        ("lstmn_classifier", "encoder"),
        ("lstmn_nli", "encoder"),
        ("lstmn", "encoder"),
        ("lstmn", "decoder"),
        ("lstmn_lm", "decoder"),
    ],
)
def test_bad_vectors(tmp_path, arch, side):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"".join(b"w%d 1 2\n" % k for k in range(9)) + b"caf\xe9 1 2\n")
    options = {f"{side}_embed_dim": 2, f"{side}_embed_path": str(path)}
    with pytest.raises(InputError, match=f"^--{side}-embed-path {path}, line 10: 'caf.xe9' is not"):
        small.model(arch, **options)
    model = small.model(arch, **options, skip_bad_vectors=True)
    assert any(embedding.tolist()[4:13] == [[1, 2]] * 9 for embedding in model.parameters())
