"""What of fairseq is patched, a file for each thing of it.

A function with ``@patch(owner, name)`` stands around fairseq's, and says what fails without it and
since when. Several around one function stand in one file in the order in which they run. They act
on fairseq itself, so they hold for every task that is run through the plugin.
"""

from importlib import import_module
from pkgutil import iter_modules

from fairseq_lstmn.patches import registry


def apply() -> None:
    """Patch fairseq; may be called any number of times."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    registry.apply()
