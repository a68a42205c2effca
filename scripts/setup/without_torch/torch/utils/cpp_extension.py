"""``torch.utils.cpp_extension`` without torch: what would need its headers is not built."""

from setuptools import Extension
from setuptools.command.build_ext import build_ext


class CppExtension(Extension):
    """One that needs torch's headers."""


class BuildExtension(build_ext):
    """Builds all others."""

    def finalize_options(self) -> None:
        extensions = self.distribution.ext_modules
        self.distribution.ext_modules = [e for e in extensions if not isinstance(e, CppExtension)]
        super().finalize_options()
