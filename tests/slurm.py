"""SLURM on this machine: a controller and two nodes, started and stopped by a test.

Both nodes are this host, under two names. The first is the host's own, so that it can be looked up;
for SLURM the second comes after it in order.
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from fairseq_lstmn.compare.run.server import die_with_parent
from tests.fairseq_commands import CHECKOUT

DAEMONS = "munged", "slurmctld", "slurmd"
PATIENCE = 300  # seconds; only there so that what hangs cannot hang the tests
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=1
ReturnToService=2
SlurmdTimeout=3
KillWait=1
MailProg=/bin/true
GresTypes=gpu
NodeName={nodes[0]} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cores} RealMemory=4000 Gres=gpu:2
NodeName={nodes[1]} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cores} RealMemory=4000 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES
"""
# devices that every machine has, in place of GPUs
GPUS = """
Name=gpu File=/dev/null
Name=gpu File=/dev/zero
"""


class Slurm:
    """SLURM in a folder. Its commands find it by the variables ``environment``."""

    def __init__(self, folder):
        host = socket.gethostname().partition(".")[0]
        self.nodes = host, f"{host}-2"
        self.environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("SLURM_")},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
        }
        self._folder = folder
        self._daemons = {}

    def start(self):
        folder = self._folder
        with ExitStack() as held:
            servers = [held.enter_context(socket.create_server(("", 0))) for _ in range(3)]
            ports = [server.getsockname()[1] for server in servers]
        values = {"host": self.nodes[0], "nodes": self.nodes, "ports": ports, "folder": folder}
        values |= {"user": getpass.getuser(), "cores": os.cpu_count()}
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        (folder / "gres.conf").write_text(GPUS)
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        for name in ("state", *self.nodes):
            (folder / name).mkdir()
        files = {
            "key-file": key,
            **{f"{kind}-file": folder / f"munge.{kind}" for kind in ("pid", "log", "seed")},
            "socket": folder / "munge.socket",
        }
        options = [f"--{name}={path}" for name, path in files.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        self.wait_for(files["socket"].exists, "munged")
        self._start("slurmctld", "slurmctld", "-D")
        for node in self.nodes:
            self.start_node(node)
        self.wait_for(lambda: self.states() == ["idle", "idle"], "the nodes")

    def start_node(self, node):
        self._start(node, "slurmd", "-D", "-N", node)

    def _start(self, name, *command):
        with (self._folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def lose_node(self, node):
        """Kill a node with all that runs there, as if its power had gone, and have that noticed."""
        for process in [self._daemons[node].pid, *self._processes_of(node)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._daemons[node].wait()
        # in half a minute SLURM would see it for itself
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def _processes_of(self, node):
        """The numbers of the processes of jobs on a node, those that serve them first."""
        steps, others = [], []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes().split(b"\0")
            except OSError:  # it has ended, or is another user's
                continue
            if b"slurmstepd" in command and self._is_on(node, process):
                steps.append(int(process.name))
            elif b"SLURMD_NODENAME=%s" % node.encode() in environment:
                others.append(int(process.name))
        return steps + others

    def _is_on(self, node, process):
        spool = os.fsencode(self._folder / node)
        return any(spool in os.fsencode(os.readlink(f)) for f in process.glob("fd/*"))

    def run(self, *command):
        """What a command of SLURM's prints."""
        return subprocess.run(
            list(map(str, command)),
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def states(self):
        return self.run("sinfo", "--noheader", "--Node", "--format=%t").split()

    def queue(self):
        """{number of a job: its state} of those that are not finished."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if condition():
                    return
            except subprocess.CalledProcessError:  # the controller does not answer yet
                pass
            if time.monotonic() > end:
                logs = [log.read_text()[-2000:] for log in self._folder.glob("*.log")]
                raise AssertionError(f"waited in vain for {what}:\n" + "\n".join(logs))
            time.sleep(0.1)

    def stop(self):
        """Stop the jobs, if there are any, and the daemons."""
        try:
            for job in self.queue():
                self.run("scancel", "--signal=KILL", "--full", job)
            self.wait_for(lambda: not self.queue(), "the jobs to end")
        finally:
            for daemon in self._daemons.values():
                daemon.kill()
                daemon.wait()


@contextmanager
def started(folder):
    """SLURM while the test goes on; it is skipped where SLURM is not installed."""
    for daemon in DAEMONS:
        if shutil.which(daemon) is None:
            pytest.skip(f"needs SLURM, {daemon} for one (Debian's packages: slurm-wlm, munge)")
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
