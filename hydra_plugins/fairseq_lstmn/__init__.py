"""Lets ``fairseq-hydra-train model=lstmn_lm task=...`` compose.

fairseq imports ``common.user_dir`` only after hydra has composed its configuration; hydra finds
this plugin before, and importing the package puts its models and tasks where hydra looks.
"""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class FairseqLSTMNSearchPathPlugin(SearchPathPlugin):
    """Imports the package if the program is ``fairseq-hydra-train``, else leaves hydra alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if in_hydra_train():
            import fairseq_lstmn  # noqa: F401


def in_hydra_train() -> bool:
    """Whether this program is ``fairseq-hydra-train`` or ``python -m fairseq_cli.hydra_train``."""
    main = getattr(sys.modules["__main__"].__spec__, "name", None)
    return "fairseq_cli.hydra_train" in (main, *sys.modules)
