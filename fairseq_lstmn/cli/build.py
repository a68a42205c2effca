"""Compile the recurrence for this machine's processor: the backend `cpp`.

Needs a C++ compiler: the one that CXX names, or else c++. The result stands in the user's cache
and is made anew when the processor, torch or this package change.
"""

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """There are none."""


def run(args: Namespace) -> int:
    from fairseq_lstmn.ops.cpp import cpp_library  # not above: doctor must start where torch cannot

    if not cpp_library.library().exists():
        print("compiling, about half a minute", flush=True)
        cpp_library.build()
    print(cpp_library.library())
    return 0
