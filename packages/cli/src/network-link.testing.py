"""A link with latency between two network namespaces, for tests: what one end takes leaves the other a while later.

    network-link.testing.py MILLISECONDS NAMESPACE NAMESPACE

The ends are 10.77.0.1 and 10.77.0.2. While it is stopped (SIGSTOP), so is the link: nothing arrives, and neither end hears why. It ends
with its standard input. `tc netem` would do as well, but is a kernel module that many machines lack; TUN is in all kernels of
distributions, and the two ends speak TCP with each other as they do over any link.
"""
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 9000


def end(number, namespace):
    """A TUN device in a namespace; its packets are read and written here."""
    name = f"link{os.getpid()}.{number}"
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    for command in (
        f"link set {name} netns {namespace}",
        f"-n {namespace} link set {name} mtu {MTU} name wire",
        f"-n {namespace} addr add 10.77.0.{number}/24 dev wire",
        f"-n {namespace} link set wire up",
        f"-n {namespace} link set lo up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    return device


def take(device):
    """The packets that wait at an end."""
    while True:
        try:
            yield os.read(device, MTU)
        except BlockingIOError:
            return


latency = float(sys.argv[1]) / 1000
ends = [end(number, namespace) for number, namespace in enumerate(sys.argv[2:4], 1)]
others = dict(zip(ends, reversed(ends)))
under_way = deque()
print("ready", flush=True)
while True:
    pause = max(0, under_way[0][0] - time.monotonic()) if under_way else None
    ready, _, _ = select.select([sys.stdin, *ends], [], [], pause)
    if sys.stdin in ready:
        break
    due = time.monotonic() + latency
    under_way.extend((due, others[device], packet) for device in ready for packet in take(device))
    while under_way and under_way[0][0] <= time.monotonic():
        _, device, packet = under_way.popleft()
        try:
            os.write(device, packet)
        except OSError:
            pass  # That end is down: the packet is lost.
