"""For each key of `debugpy_config.json` a proof that it changes something."""

from __future__ import annotations

import atexit
import os
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstrument.debugger import _debugpy, server, startup
from autoinstrument.debugger.config import DebugpyConfig
from autoinstrument.debugger.errors import PrivilegesRefused, RemoteHostRefused

from .key_proofs import OTHER_HOST, Bench, proves


class Api:
    """Stands for `debugpy.server.api`."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.logs: list[str] = []
        self.listened: list[tuple[str, int]] = []
        self.ensure_logging = SimpleNamespace(ensured=False)

    def configure(self, options: dict[str, Any]) -> None:
        self.options = options

    def log_to(self, folder: str) -> None:
        self.logs.append(folder)

    def listen(self, address: tuple[str, int]) -> tuple[str, int]:
        self.listened.append(address)
        return address


@proves("debugpy.host", "debugpy.port", "debugpy.allow_remote")
async def where_to_listen(bench: Bench) -> None:
    api = Api()
    _debugpy._listen(api, DebugpyConfig(host="127.0.0.9", port=4711))
    assert api.listened == [("127.0.0.9", 4711)]
    with pytest.raises(RemoteHostRefused):
        server.DebugpyServer(config=DebugpyConfig(host=OTHER_HOST)).start()
    started = _servers(bench)
    server.DebugpyServer(config=DebugpyConfig(host=OTHER_HOST, allow_remote=True)).start()
    assert started[0].host == OTHER_HOST


def _servers(bench: Bench) -> list[DebugpyConfig]:
    """Let no server open anything; return the list of the configurations they start with."""
    started: list[DebugpyConfig] = []

    def listen(config: DebugpyConfig) -> tuple[str, int]:
        started.append(config)
        return config.host, 4711

    bench.patch.setattr(_debugpy, "listen", listen)
    bench.patch.setattr(_debugpy, "debugger", lambda: None)
    bench.patch.setattr(server, "_current", None)
    bench.patch.setattr(atexit, "register", lambda *_: None)
    return started


@proves("debugpy.debug_children", "debugpy.adapter_python", "debugpy.log_dir")
async def options_of_debugpy(bench: Bench) -> None:
    api = Api()
    _debugpy._configure(api, DebugpyConfig())
    assert (api.options["subProcess"], api.options.get("python"), api.logs) == (False, None, [])
    _debugpy._configure(
        api, DebugpyConfig(debug_children=True, adapter_python="/usr/bin/python", log_dir="/logs")
    )
    assert (api.options["subProcess"], api.options["python"]) == (True, "/usr/bin/python")
    assert api.logs == ["/logs"]


@proves("debugpy.repair_pydevd")
async def repairs(_bench: Bench) -> None:
    found = [_debugpy._adapter_environment(repaired=repaired) for repaired in (True, False)]
    assert [_debugpy._ADAPTER_SITE in env.get("PYTHONPATH", "") for env in found] == [True, False]


@proves("debugpy.allow_privileged")
async def privileged(bench: Bench) -> None:
    _servers(bench)
    bench.patch.setattr(os, "getuid", lambda: 4711)
    bench.patch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(PrivilegesRefused):
        server.DebugpyServer(config=DebugpyConfig(announce=False)).start()
    server.DebugpyServer(config=DebugpyConfig(announce=False, allow_privileged=True)).start()


@proves("debugpy.announce")
async def announced(bench: Bench) -> None:
    _servers(bench)
    said: list[Any] = []
    bench.patch.setattr(server, "announce", said.append)
    server.DebugpyServer(config=DebugpyConfig(announce=False)).start()
    assert said == []
    bench.patch.setattr(server, "_current", None)
    server.DebugpyServer(config=DebugpyConfig(announce=True)).start()
    assert [entry.port for entry in said] == [4711]


@proves("debugpy.wait_for_client", "debugpy.wait_timeout_s")
async def waits(bench: Bench) -> None:
    _servers(bench)
    waited: list[float | None] = []
    bench.patch.setattr(
        server.DebugpyServer, "wait_for_client", lambda _self, timeout_s: waited.append(timeout_s)
    )
    config = DebugpyConfig(announce=False, wait_for_client=True, wait_timeout_s=2.5)
    server.DebugpyServer(config=config).start()
    bench.patch.setattr(server, "_current", None)
    server.DebugpyServer(config=DebugpyConfig(announce=False)).start()
    assert waited == [2.5]


@proves("debugpy.in_child")
async def in_child(bench: Bench) -> None:
    started = _servers(bench)
    bench.patch.setattr(startup, "_why_not", lambda: "")
    bench.patch.setattr(startup, "_other_owner", lambda _environ: 4711)
    bench.patch.setattr(startup, "note", lambda _text: None)
    for policy, expected in (("nothing", []), ("free_port", [0])):
        path = bench.file("remote_debugging:\n  debugpy_config: debugpy.json\n")
        content = f'{{"in_child": "{policy}", "announce": false}}'
        (bench.folder / "debugpy.json").write_text(content)
        environ = {"ASYNCSCOPE_DEBUGPY": "5678", "ASYNCSCOPE_CONFIG": path}
        startup.start_from_environment(environ, lambda _line: None)
        assert [config.port for config in started] == expected
