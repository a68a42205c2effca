"""Two nodes on one machine: with a host name and a network of their own where it allows that."""

import subprocess
import warnings
from contextlib import ExitStack, contextmanager

HOSTS = "127.0.0.1 localhost\n10.0.0.1 node1\n10.0.0.2 node2\n"
SPACES = "--net", "--uts", "--mount"
SETTLE = """
echo {name} >/proc/sys/kernel/hostname
mount --bind {hosts} /etc/hosts
ip link set lo up
echo ready
exec cat
"""
CONNECT = "ip addr add {address}/24 dev eth0; ip link set eth0 up"


@contextmanager
def two_nodes(folder):
    """Yields [(host name, what a command on that node begins with)].

    The nodes are namespaces that need no privileges, joined by a virtual cable. Where the machine
    makes none, a warning says so, and both are this host.
    """
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    with ExitStack() as held:
        try:
            nodes = connected(held, hosts)
        except (OSError, subprocess.CalledProcessError) as error:
            warnings.warn(
                f"two nodes share one network, this machine makes no others: {error}", stacklevel=2
            )
            nodes = [("localhost", []), ("localhost", [])]
        yield nodes


def connected(held, hosts):
    """The two namespaces, which last until ``held`` is closed."""
    user = "unshare", "--user", "--map-root-user"
    first = hold(held, [*user, *SPACES], "node1", hosts)
    inside = "nsenter", "--target", first, "--user", "--preserve-credentials"
    second = hold(held, [*inside, "unshare", *SPACES], "node2", hosts)
    nodes = [
        (name, ["nsenter", "--target", process, "--user", "--preserve-credentials", *SPACES])
        for name, process in (("node1", first), ("node2", second))
    ]
    cable = f"ip link add eth0 type veth peer name eth0 netns {second}; "
    ends = (cable + CONNECT.format(address="10.0.0.1")), CONNECT.format(address="10.0.0.2")
    for (_, on_node), commands in zip(nodes, ends):
        subprocess.run([*on_node, "sh", "-ec", commands], check=True)
    return nodes


def hold(held, unshare, name, hosts):
    """The process id of one that stays in namespaces of its own, as text."""
    command = [*unshare, "sh", "-ec", SETTLE.format(name=name, hosts=hosts)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder = held.enter_context(subprocess.Popen(command, **pipes))
    held.callback(holder.kill)
    if holder.stdout.readline() != "ready\n":
        raise subprocess.CalledProcessError(holder.wait(), command)
    return str(holder.pid)
