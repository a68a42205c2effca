import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from fairseq_lstmn.cli import doctor, main

CHECKOUT = Path(__file__).resolve().parents[2]
DOCTOR = "import sys; from fairseq_lstmn.cli import main; sys.exit(main(['doctor']))"


def words(text):
    """``text`` as a list of lines, each a list of words."""
    return [line.split() for line in text.splitlines()]


def broken_package(folder, name, error):
    """A package ``name`` under ``folder`` that raises ``error`` (source text) when imported."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text(f"raise {error}\n")


def doctor_with(folder):
    """``fairseq-lstmn doctor`` in a new process that finds packages in ``folder`` first."""
    path = os.pathsep.join([str(folder), str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", DOCTOR],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_healthy_installation(capsys):
    assert main(["doctor"]) == 0
    captured = capsys.readouterr()
    lines = words(captured.out)
    assert ["python", platform.python_version()] in lines
    assert ["sacrebleu", metadata.version("sacrebleu")] in lines
    assert any(line and line[0] in ("fairseq", "fairseq-fixed") for line in lines)
    assert ["reference", "can", "run"] in lines
    assert "error:" not in captured.err


def test_compiled_kernels_are_described_beside_torchs(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("compiled kernels of the CPU")
    assert lines[first + 1].startswith("  compiled for ")
    for line in lines[first + 2 : first + 4]:
        assert re.fullmatch(r"  .+  [\d,]+ us, by torch [\d,]+ us", line), line


def test_without_compiled_kernels_there_is_nothing_to_describe(capsys, nothing_built):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "compiled kernels" not in printed and "fairseq-lstmn build" in printed


def test_backend_that_cannot_run_is_no_error(capsys, monkeypatch):
    from fairseq_lstmn.ops import backends

    monkeypatch.setattr(backends, "report", lambda device: [("cpp", "it is not built")])
    assert main(["doctor"]) == 0
    assert "it is not built" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fault, said",
    [(None, "agrees"), ("is off by 2.0", "is off by 2.0 (auto goes on without it)")],
)
def test_backends_that_auto_tries_first_are_tried_and_measured(capsys, monkeypatch, fault, said):
    from fairseq_lstmn.ops import backends, selfcheck

    verdict = selfcheck.Verdict({"outputs": 1e-7, "gradient of score": 2.0}, fault)
    monkeypatch.setattr(backends, "on_trial", lambda device: ["triton"])
    monkeypatch.setattr(backends, "verdict", lambda name, device: verdict)
    assert main(["doctor"]) == 0
    lines = words(capsys.readouterr().out)
    start = lines.index("recurrence backends on cpu against recompute".split())
    assert lines[start + 1 : start + 4] == [
        ["triton", *said.split()],
        ["outputs", "1.0e-07"],
        ["gradient", "of", "score", "2.0e+00"],
    ]


def test_nothing_is_on_trial_on_the_cpu(capsys):
    assert main(["doctor"]) == 0
    assert "on cpu against recompute" not in capsys.readouterr().out


def test_fairseq_that_cannot_be_imported(tmp_path):
    broken_package(tmp_path, "fairseq", "ValueError('mutable default\\nfor field common')")
    result = doctor_with(tmp_path)
    assert result.returncode == 1
    assert result.stderr == "error: fairseq cannot be imported (ValueError: mutable default)\n"
    assert ["reference", "can", "run"] in words(result.stdout)


def test_torch_that_cannot_be_imported(tmp_path):
    broken_package(tmp_path, "torch", "OSError('libtorch_cpu.so: cannot open')")
    result = doctor_with(tmp_path)
    assert result.returncode == 1
    assert "error: torch cannot be imported (OSError: libtorch_cpu.so: cannot open)\n" in (
        result.stderr
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("extension", doctor.EXTENSIONS)
def test_missing_extension(extension, capsys, monkeypatch):
    find_spec = doctor.find_spec
    monkeypatch.setattr(
        doctor, "find_spec", lambda name: None if name == extension else find_spec(name)
    )
    assert main(["doctor"]) == 1
    assert f"error: {extension} is missing" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [[], ["fairseq.libnat"], [name for name, _ in doctor.LEFT_OUT]])
def test_extensions_that_no_flow_needs_may_be_left_out(missing, capsys, monkeypatch):
    find_spec, optional = doctor.find_spec, dict(doctor.LEFT_OUT)
    built = {name: None if name in missing else object() for name in optional}
    monkeypatch.setattr(
        doctor, "find_spec", lambda name: built[name] if name in built else find_spec(name)
    )
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[0] for line in lines if line.strip().startswith(tuple(optional))]
    assert shown == missing
    how = [line for line in lines if "pip install --force-reinstall" in line]
    assert [line.split()[-1] for line in how] == ([doctor.matching_fairseq()] if missing else [])


@pytest.mark.parametrize("name", ["fairseq-fixed", "sacrebleu"])
def test_missing_distribution(name, capsys, monkeypatch):
    installed = doctor.installed
    missing = doctor.FAIRSEQ if name in doctor.FAIRSEQ else [name]
    monkeypatch.setattr(doctor, "installed", lambda n: n not in missing and installed(n))
    assert main(["doctor"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 1 and "is not installed" in errors[0]
