"""What makes the result of a run, beside its options: the data, files named, and the software."""

import hashlib
import json
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import fairseq_lstmn
from fairseq_lstmn.compare.types import Options

PACKAGE = Path(fairseq_lstmn.__file__).parent
# of this package, on which no trained model and nothing that it answers depends
WITHOUT_RESULT = ("attend", "cli", "compare/report", "drawings.py")
CHUNK = 1 << 20  # bytes


def digest(value: object) -> str:
    """Eight letters that stand for ``value``, anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def of_files(folder: Path, paths: Iterable[Path]) -> str:
    """The SHA-256 of the names, from ``folder`` on, and the contents of files."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(str(path.relative_to(folder)).encode() + b"\0")
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


def of_data(data: str) -> list[str]:
    """The fingerprint of what fairseq reads from the folders ``data`` (colons between them)."""

    def is_read(path: Path) -> bool:
        return path.suffix in (".bin", ".idx", ".label") or path.name.startswith("dict.")

    folders = map(Path, data.split(":"))
    return [of_files(folder, filter(is_read, folder.rglob("*"))) for folder in folders]


def of_named_files(options: Options) -> dict[str, str]:
    """Fingerprints of the files that options name, such as vectors and a plugin's modules."""
    plugin = Path(str(options.get("user-dir", "")))
    modules = {"user-dir": of_files(plugin, plugin.rglob("*.py"))} if "user-dir" in options else {}
    files = {
        name: Path(value)
        for name, value in options.items()
        if isinstance(value, str) and Path(value).is_file()
    }
    hashes = {name: _of_file(path, path.stat().st_mtime_ns) for name, path in files.items()}
    return {**hashes, **modules}


@cache
def _of_file(path: Path, changed: int) -> str:
    return of_files(path.parent, [path])


def versions() -> dict[str, str]:
    """The versions of what a result depends on; our own models' code by its contents."""
    fairseq = sorted(set(metadata.packages_distributions()["fairseq"]))  # it has two names
    others = {name: metadata.version(name) for name in (*fairseq, "torch", "numpy")}
    own = f"{fairseq_lstmn.__version__} (code {of_files(PACKAGE, result_code())[:8]})"
    return {"python": platform.python_version(), "fairseq-lstmn": own, **others}


def result_code(package: Path = PACKAGE) -> list[Path]:
    """The sources of this package that a trained model, or what it answers, may depend on."""
    apart = [package / part for part in WITHOUT_RESULT]
    return [
        path
        for path in package.rglob("*")
        if path.suffix in (".py", ".cpp", ".h")
        and not any(part == path or part in path.parents for part in apart)
    ]
