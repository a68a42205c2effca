"""Lets ``fairseq-hydra-train model=lstmn_lm task=...`` compose.

fairseq imports ``common.user_dir`` only after hydra has composed its configuration; hydra finds
this plugin before, and importing the package puts its models and tasks where hydra looks.
"""

import sys

from hydra.plugins.search_path_plugin import SearchPathPlugin


class FairseqLSTMNSearchPathPlugin(SearchPathPlugin):
    """Imports the package if the program is ``fairseq-hydra-train``, else leaves hydra alone."""

    def manipulate_search_path(self, search_path):
        if "fairseq_cli.hydra_train" in sys.modules:
            import fairseq_lstmn  # noqa: F401
