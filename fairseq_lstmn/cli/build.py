"""Compile the recurrence for this machine's processor: the backend `cpp`.

Needs a C++ compiler: the one that CXX names, or else c++. The result stands in the user's cache
and is made anew when the processor, torch or this package change.
"""

from argparse import ArgumentParser, Namespace

from fairseq_lstmn.errors import InputError


def add_arguments(parser: ArgumentParser) -> None:
    """There are none."""


def run(args: Namespace) -> int:
    from fairseq_lstmn.ops.cpp import cpp_library  # not above: doctor must start where torch cannot

    path = cpp_library.library()
    if not path.exists() or cpp_library.load(path):
        print("compiling, about half a minute", flush=True)
        cpp_library.build()
        cpp_library.load.cache_clear()
        if reason := cpp_library.load(path):
            raise InputError(f"{path}: was built, but {reason}")
    print(path)
    return 0
