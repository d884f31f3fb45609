"""Opens sockets and becomes a program that inherits them as descriptors 3 and up, as systemd does.

    inherit.py KIND... -- PROGRAM ARGUMENT...

The program gets LISTEN_FDS, and LISTEN_PID unless the environment has one.
"""

import os
import socket
import sys


def opened(kind):
    name, _, where = kind.partition(":")
    unix = where if not where.startswith("@") else "\0" + where[1:]
    loopback = ("127.0.0.1", 0)
    if name == "tcp":
        return socket.create_server(loopback)
    if name == "tcp6":
        return socket.create_server(("::1", 0), family=socket.AF_INET6)
    if name == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.bind(unix)
        made.listen()
        return made
    if name == "udp":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(loopback)
        return made
    if name == "datagram":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(unix)
        return made
    if name == "sequence":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.bind(unix)
        made.listen()
        return made
    if name == "bound":
        made = socket.socket()
        made.bind(loopback)
        return made
    if name == "connection":
        # As with Accept=yes.
        return socket.socketpair()[0]
    if name == "file":
        return open(os.devnull)
    raise ValueError(kind)


def main():
    split = sys.argv.index("--")
    sockets = [opened(kind) for kind in sys.argv[1:split]]
    program = sys.argv[split + 1 :]
    # First above the descriptors that they are copied to.
    first = 3 + len(sockets)
    copies = [os.dup2(made.fileno(), 100 + at) for at, made in enumerate(sockets)]
    for at, copy in enumerate(copies):
        os.dup2(copy, 3 + at)
    os.closerange(first, 200)
    environment = {"LISTEN_PID": str(os.getpid()), **os.environ, "LISTEN_FDS": str(len(sockets))}
    os.execve(program[0], program, environment)


main()
