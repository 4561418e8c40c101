"""Who may reach a debug port: it runs code for whoever connects, without asking for a password."""

from __future__ import annotations

import ipaddress
import os
import socket

from .errors import PrivilegesRefused, RemoteHostRefused


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach the address; a name counts by what it resolves to."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    if not host:
        return False
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(a.split("%")[0]).is_loopback for a in found)


def check_host(host: str, *, allow_remote: bool) -> None:
    """Raise `RemoteHostRefused` for an address that others can reach, unless allowed."""
    if not allow_remote and not is_loopback(host):
        raise RemoteHostRefused(
            f"{host or 'every address'} can be reached by others, and whoever connects can run"
            " code here; use 127.0.0.1 with an SSH tunnel, or allow_remote"
        )


def raised_privileges() -> str:
    """Return how this process got more rights than its user has, `""` if it did not.

    Plain root, as in a container, is no raise; sudo and set-user-id programs are.
    """
    if not hasattr(os, "geteuid"):
        return ""
    if os.geteuid() != os.getuid() or os.getegid() != os.getgid():
        return "it runs set-user-id or set-group-id"
    caller = os.environ.get("SUDO_UID", "0")
    if os.geteuid() == 0 and caller != "0":
        return f"it was started through sudo by user {caller}"
    return ""


def check_privileges(*, allow_privileged: bool) -> None:
    """Raise `PrivilegesRefused` for a process with raised privileges, unless allowed."""
    how = raised_privileges()
    if how and not allow_privileged:
        raise PrivilegesRefused(
            f"no debugger in this process: {how}, and every local user could run code in it;"
            " allow_privileged forces it"
        )
