"""What of fairseq is patched, by what, and in which order."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

Original: TypeAlias = Callable[..., Any]  # fairseq's function, or what is further inside
Layer = TypeVar("Layer", bound=Callable[..., Any])

# (a module or class of fairseq's, the name of a function there): what is around it, the outermost,
# which runs first, first
LAYERS: dict[tuple[Any, str], list[Callable[..., Any]]] = {}
# what is set once, not around a function
SETTINGS: list[Callable[[], None]] = []


def patch(owner: Any, *names: str) -> Callable[[Layer], Layer]:
    """Put a function around ``owner``'s functions ``names``, inside those that are there already.

    It is called with the original, or what is further inside, in front of the arguments, which it
    names as the original does, since some call it by keyword.
    """

    def register(layer: Layer) -> Layer:
        for name in names:
            LAYERS.setdefault((owner, name), []).append(layer)
        return layer

    return register


def setting(function: Callable[[], None]) -> Callable[[], None]:
    """Have ``function`` called, which changes something of fairseq once and for all."""
    SETTINGS.append(function)
    return function


def apply() -> None:
    """Patch fairseq as far as it is not yet."""
    for (owner, name), layers in LAYERS.items():
        for layer in reversed(layers):
            wrap(owner, name, layer)
    for change in SETTINGS:
        change()


def wrap(owner: Any, name: str, layer: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by ``layer(original, ...)``, once for each ``layer``."""
    static = inspect.getattr_static(owner, name)
    is_of_class = isinstance(static, classmethod)
    original = static.__func__ if is_of_class else getattr(owner, name)
    inside = getattr(original, "patched_by_lstmn", ())
    if layer in inside:
        return

    @functools.wraps(original)
    def patched(*args: object, **kwargs: object) -> Any:
        return layer(original, *args, **kwargs)

    vars(patched)["patched_by_lstmn"] = (*inside, layer)
    vars(patched)["__signature__"] = inspect.signature(original)  # fairseq looks at some
    kind = type(static) if isinstance(static, (staticmethod, classmethod)) else None
    setattr(owner, name, kind(patched) if kind else patched)
