"""``fairseq.file_io``: copies of checkpoints."""

from fairseq.file_io import PathManager

from fairseq_lstmn.checkpoints import writing
from fairseq_lstmn.patches.registry import patch

# a checkpoint that is copied over another is whole at every moment, whatever ends the process
patch(PathManager, "copy")(writing.copy_whole)
