"""Spans, log records and metrics over real sockets, decoded with the official schema."""

import _thread
import importlib.util
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstrument.export.batch import Batch, ExportSettings
from autoinstrument.export.connection import Connection
from autoinstrument.export.exporters import Exporter, make_exporters
from autoinstrument.export.official_json import OfficialJson
from autoinstrument.export.plain_json import PlainJson
from autoinstrument.export.sender import Parcel, Sender
from autoinstrument.export.transport import Variables, json_transport
from tests.export.play import Play, finding
from tests.export.receiver import Received, attributes_of, grpc_receiver, http_receiver

pytestmark = pytest.mark.slow


def installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


JSON = installed("opentelemetry.exporter.otlp.common")
PROTOBUF = installed("opentelemetry.exporter.otlp.proto.http")
GRPC = installed("opentelemetry.exporter.otlp.proto.grpc")

PROTOCOLS = [
    pytest.param("http/json", http_receiver, id="http/json"),
    pytest.param(
        "http/protobuf",
        http_receiver,
        id="http/protobuf",
        marks=pytest.mark.skipif(not PROTOBUF, reason="extra otlp-protobuf is not installed"),
    ),
    pytest.param(
        "grpc",
        grpc_receiver,
        id="grpc",
        marks=pytest.mark.skipif(not GRPC, reason="extra grpc is not installed"),
    ),
]


@pytest.fixture(autouse=True)
def _no_threads_stay() -> Iterator[None]:
    before = _thread._count()
    yield
    until = time.monotonic() + 5
    while _thread._count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert _thread._count() <= before


def exporter_for(
    monkeypatch: pytest.MonkeyPatch, url: str, said: list[str], **variables: str
) -> Exporter:
    """Set the variables as a user does; the official exporters read the real environment."""
    values = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
    values |= {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = ExportSettings(exporters=("otlp",), instance_id="one")
    (exporter,) = make_exporters(settings, values, said.append)
    return exporter


def some_work() -> Batch:
    play = Play()
    play.task("main", 0, 100)
    play.task("a", 1, 50, by="main")
    play.task("b", 2, 40, by="a", outcome="failed", error="ValueError")
    counters = {"tasks.created": 3, "tasks.active": 1}
    return play.batch(
        waits=[play.wait("a", 3, 20)],
        findings=[finding("a")],
        counters=counters,
        delays_ns=[1_000, 2_000_000],
        utilization={1: 0.25},
    )


@pytest.mark.parametrize("drained", [True, False], ids=["while running", "at exit only"])
@pytest.mark.parametrize(("protocol", "receiver"), PROTOCOLS)
def test_everything_arrives(
    monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: Callable[[], Any], drained: bool
) -> None:
    said: list[str] = []
    with receiver() as (url, received):
        exporter = exporter_for(monkeypatch, url, said, PROTOCOL=protocol)
        if drained:
            exporter.drain(some_work())
            exporter.finish(Batch(), Batch(), 2.0)
        else:
            exporter.finish(some_work(), Batch(), 2.0)
        assert said == []
        check(received)
    assert exporter.statistics()["dropped.queue"] == 0
    assert exporter.statistics()["failed"] == 0


def check(received: Received) -> None:
    assert received.tree() == [("main", [("a", [("b", []), ("lock wait", [])])])]
    (b,) = [span for span in received.spans if span.name == "b"]
    assert (b.status.code, b.status.message) == (2, "ValueError")
    assert attributes_of(b.attributes)["asyncscope.task.created_at"] == "/srv/app.py:20"
    assert b.kind == 1
    (a,) = [span for span in received.spans if span.name == "a"]
    assert [event.name for event in a.events] == ["asyncscope.blocking_call"]
    (log,) = received.logs
    assert (log.trace_id, log.span_id) == (a.trace_id, a.span_id)
    assert log.event_name == "asyncscope.blocking_call"
    assert log.severity_number == 17
    check_metrics(received.metrics)
    for resource in received.resources:
        assert resource["service.instance.id"] == "one"
        assert resource["telemetry.distro.name"] == "asyncscope"


def check_metrics(metrics: dict[str, Any]) -> None:
    (created,) = metrics["asyncscope.task.created"].sum.data_points
    assert (created.as_int, metrics["asyncscope.task.created"].sum.is_monotonic) == (3, True)
    assert not metrics["asyncscope.task.active"].sum.is_monotonic
    points = metrics["asyncscope.task.duration"].histogram.data_points
    assert sum(point.count for point in points) == 3
    (wait,) = metrics["asyncscope.lock.wait.duration"].histogram.data_points
    assert wait.sum == pytest.approx(0.017)
    assert list(wait.explicit_bounds)[:2] == [0.001, 0.0025]
    assert sum(wait.bucket_counts) == wait.count == 1
    (delay,) = metrics["asyncscope.eventloop.delay"].histogram.data_points
    assert (delay.count, delay.max) == (2, 0.002)
    (share,) = metrics["asyncscope.eventloop.utilization"].gauge.data_points
    assert share.as_double == 0.25
    assert metrics["asyncscope.task.duration"].unit == "s"


TRANSPORTS = [
    pytest.param(PlainJson, id="plain"),
    pytest.param(
        OfficialJson,
        id="official",
        marks=pytest.mark.skipif(not JSON, reason="extra otlp is not installed"),
    ),
]


@pytest.fixture(name="transport_of")
def fixture_transport_of() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(kind: type[Any], **variables: str) -> Any:
        values = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
        made.append(kind(Variables(values, pytest.fail)))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


BODY = b'{"resourceSpans":[]}'


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
@pytest.mark.parametrize("kind", TRANSPORTS)
def test_headers_and_compression(
    transport_of: Callable[..., Any], kind: type[Any], compression: str
) -> None:
    with http_receiver() as (url, received):
        transport = transport_of(
            kind, ENDPOINT=url + "/", COMPRESSION=compression,
            HEADERS="api-key=se%20cret,other=1",
        )  # fmt: skip
        assert transport.send("traces", BODY, soon()) == ""
        assert transport.send("traces", BODY, soon()) == ""
    assert received.requests == 2
    assert received.headers[0]["api-key"] == "se cret"
    assert received.headers[0]["other"] == "1"


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_retries_what_may_pass(transport_of: Callable[..., Any], kind: type[Any]) -> None:
    with http_receiver(answers=[503, 429]) as (url, received):
        transport = transport_of(kind, ENDPOINT=url)
        assert transport.send("traces", BODY, soon(8)) == ""
        assert received.requests == 1


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_does_not_retry_what_is_refused(transport_of: Callable[..., Any], kind: type[Any]) -> None:
    with http_receiver(answers=[400]) as (url, received):
        transport = transport_of(kind, ENDPOINT=url)
        assert "Bad Request" in transport.send("traces", BODY, soon())
        assert received.requests == 0


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_redirection_is_no_success(transport_of: Callable[..., Any], kind: type[Any]) -> None:
    with http_receiver(answers=[302]) as (url, received):
        transport = transport_of(kind, ENDPOINT=url)
        assert "Found" in transport.send("traces", BODY, soon())
        assert received.requests == 0


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_kept_connection_that_was_closed_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, transport_of: Callable[..., Any], kind: type[Any]
) -> None:
    opened: list[Any] = []
    connect = Connection._connect

    def noting(self: Connection, timeout_s: float) -> Any:
        opened.append(connect(self, timeout_s))
        return opened[-1]

    monkeypatch.setattr(Connection, "_connect", noting)
    with http_receiver() as (url, received):
        transport = transport_of(kind, ENDPOINT=url)
        assert transport.send("traces", BODY, soon()) == ""
        opened[0].sock.shutdown(socket.SHUT_RDWR)
        assert transport.send("traces", BODY, soon()) == ""
        assert received.requests == 2


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a certificate for 127.0.0.1, made now, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt",
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_tls_trusts_the_given_certificate_alone(
    transport_of: Callable[..., Any], kind: type[Any], certificate: Path
) -> None:
    with http_receiver(certificate=certificate) as (url, received):
        trusting = transport_of(kind, ENDPOINT=url, CERTIFICATE=f"{certificate}.crt")
        assert trusting.send("traces", BODY, soon()) == ""
        assert received.requests == 1
        wary = transport_of(kind, ENDPOINT=url)
        assert "CERTIFICATE_VERIFY_FAILED" in wary.send("traces", BODY, soon(0.5))
        assert received.requests == 1


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("drained", [True, False], ids=["while running", "at exit only"])
@pytest.mark.parametrize(("protocol", "receiver"), PROTOCOLS)
def test_backend_that_is_down_costs_no_exit_time(
    monkeypatch: pytest.MonkeyPatch, protocol: str, receiver: object, drained: bool
) -> None:
    said: list[str] = []
    url = f"http://127.0.0.1:{closed_port()}"
    exporter = exporter_for(monkeypatch, url, said, PROTOCOL=protocol)
    if drained:
        exporter.drain(some_work())
    started = time.monotonic()
    exporter.finish(some_work(), Batch(), 2.0)
    assert time.monotonic() - started < 2.2
    counts = exporter.statistics()
    assert counts["exported"] == 0
    assert counts["failed"] + counts["dropped.queue"] >= 5
    assert [line for line in said if "could not be sent" not in line] == []


@pytest.mark.parametrize("drained", [True, False], ids=["while running", "at exit only"])
def test_backend_that_never_answers_costs_two_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, drained: bool
) -> None:
    said: list[str] = []
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        exporter = exporter_for(monkeypatch, url, said)
        if drained:
            exporter.drain(some_work())
        started = time.monotonic()
        exporter.finish(some_work(), Batch(), 9.0)
        assert time.monotonic() - started < 2.3


def test_slow_backend_delays_no_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver(delay_s=0.5) as (url, received):
        exporter = exporter_for(monkeypatch, url, [])
        exporter.drain(Batch())  # imports what metrics need
        started = time.monotonic()
        exporter.drain(some_work())
        assert time.monotonic() - started < 0.3
        received.wait_spans(4)
        exporter.finish(Batch(), Batch(), 2.0)


def test_full_queue_drops_and_counts() -> None:
    class Stuck:
        name = "stuck"
        go = threading.Event()

        def send(self, signal: str, payload: Any, until: float) -> str:
            self.go.wait(5)
            return ""

        def hurry(self) -> None:
            self.go.set()

        def close(self) -> None:
            pass

    sender = Sender(Stuck(), pytest.fail)
    sender.start()
    for _ in range(5):
        sender.put(Parcel("traces", b"", 10, 3 << 20))
    sender.finish(2.0)
    assert (sender.exported, sender.dropped) == (20, 30)


def _dummies() -> set[str]:
    """Return the bare threads that `threading` has come to know."""
    return {thread.name for thread in threading.enumerate() if "Dummy" in thread.name}


def test_no_thread_is_left_for_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as (url, received):
        exporter: Any = exporter_for(monkeypatch, url, [])
        running = exporter._sinks[0]._sender._ended.locked
        dummies = _dummies()
        exporter.drain(some_work())
        assert running()
        received.wait_spans(4)
        assert _dummies() <= dummies  # an earlier test's may end meanwhile
        exporter.before_fork()
        assert not running()
        exporter.drain(some_work())
        received.wait_spans(8)
        exporter.finish(Batch(), Batch(), 2.0)


def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autoinstrument.export.official", None)
    said: list[str] = []
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert make_exporters(ExportSettings(exporters=("otlp",)), environ, said.append) == []
    assert said == ["OTLP over grpc needs: pip install 'asyncscope[grpc]'; nothing is sent"]


@pytest.mark.skipif(not JSON, reason="extra otlp is not installed")
def test_official_client_is_preferred() -> None:
    assert json_transport({}, pytest.fail).name == "opentelemetry-exporter-otlp-common"


def test_own_client_serves_without_the_official_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.common.http", None)
    assert json_transport({}, pytest.fail).name == "http.client"


class Down:
    """A transport whose backend is down until it is told otherwise."""

    name = "down"

    def __init__(self) -> None:
        self.up = False
        self.attempts = 0

    def send(self, signal: str, payload: Any, until: float) -> str:
        self.attempts += 1
        return "" if self.up else "refused"

    def hurry(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_backend_that_is_down_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("autoinstrument.export.sender.time.monotonic", lambda: clock[0])
    said: list[str] = []
    transport = Down()
    sender = Sender(transport, said.append)
    for _ in range(10):  # each second, as the agent's thread does
        sender.put(Parcel("traces", b"", 1, 10))
        sender._send_queued()
        clock[0] += 0.1
    assert (transport.attempts, sender.failed, len(said)) == (3, 3, 1)
    clock[0] += 2.0
    sender._send_queued()
    assert (transport.attempts, sender.failed) == (4, 4)
    transport.up = True
    clock[0] += 4.0
    sender._send_queued()
    assert (sender.exported, sender.failed, sender.dropped) == (6, 4, 0)


def test_last_attempt_is_made_at_the_end_and_only_one() -> None:
    transport = Down()
    sender = Sender(transport, lambda _: None)
    sender.start()
    for _ in range(8):
        sender.put(Parcel("traces", b"", 1, 10))
    sender.finish(2.0)
    assert transport.attempts == 4
    assert (sender.failed + sender.dropped, sender.exported) == (8, 0)


def test_backend_that_came_back_gets_what_waited() -> None:
    transport = Down()
    sender = Sender(transport, lambda _: None)
    sender.start()
    for _ in range(8):
        sender.put(Parcel("traces", b"", 1, 10))
    until = time.monotonic() + 10
    while transport.attempts < 3 and time.monotonic() < until:
        time.sleep(0.001)
    transport.up = True
    sender.finish(2.0)
    assert (sender.exported, sender.failed, sender.dropped) == (5, 3, 0)


def test_exit_before_the_first_batch_is_not_held_by_a_backend_that_drips() -> None:
    """The thread is started at the end then, and left alone at the deadline."""

    class Dripping(Down):
        go = threading.Event()

        def send(self, signal: str, payload: Any, until: float) -> str:
            self.go.wait(20)
            return ""

    transport = Dripping()
    sender = Sender(transport, lambda _: None)
    sender.put(Parcel("traces", b"", 1, 10))
    began = time.monotonic()
    sender.finish(0.2)
    took = time.monotonic() - began
    transport.go.set()
    assert took < 5
    assert sender.dropped == 1
