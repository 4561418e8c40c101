"""A real OTLP receiver: sockets on loopback, decoding with the official schema."""

import gzip
import importlib
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}


def decode_json(signal: str, text: str) -> Message:
    """Decode OTLP JSON strictly: unknown keys are errors; ids are hexadecimal, not base64."""
    import base64
    import json

    def ids(value: Any) -> Any:
        if isinstance(value, list):
            return [ids(item) for item in value]
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(item)).decode()
                if key in {"traceId", "spanId", "parentSpanId"}
                else ids(item)
                for key, item in value.items()
            }
        return value

    return ParseDict(ids(json.loads(text)), REQUESTS[signal]())


def value_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def attributes_of(pairs: Any) -> dict[str, Any]:
    found = {pair.key: value_of(pair.value) for pair in pairs}
    assert len(found) == len(pairs), "an attribute appears twice"
    return found


@dataclass
class Received:
    """What arrived, flattened."""

    spans: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: int = 0

    def take(self, signal: str, message: Any) -> None:
        self.requests += 1
        groups = {
            "traces": "resource_spans",
            "logs": "resource_logs",
            "metrics": "resource_metrics",
        }
        for group in getattr(message, groups[signal]):
            self.resources.append(attributes_of(group.resource.attributes))
            if signal == "traces":
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            elif signal == "logs":
                self.logs += [log for scope in group.scope_logs for log in scope.log_records]
            else:
                for scope in group.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in scope.metrics})

    def tree(self) -> list[Any]:
        """Return all spans as nested (name, children), sorted; unknown parents make roots."""
        return tree(self.spans)

    def wait_spans(self, count: int, timeout_s: float = 5.0) -> None:
        until = time.monotonic() + timeout_s
        while len(self.spans) < count and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.spans) >= count


def tree(spans: list[Any]) -> list[Any]:
    known = {(span.trace_id, span.span_id) for span in spans}

    def below(trace_id: bytes, parent: bytes) -> list[Any]:
        return sorted(
            (span.name, below(trace_id, span.span_id))
            for span in spans
            if span.trace_id == trace_id and span.parent_span_id == parent
        )

    return sorted(
        (span.name, below(span.trace_id, span.span_id))
        for span in spans
        if (span.trace_id, span.parent_span_id) not in known
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        if server.delay_s:
            time.sleep(server.delay_s)
        status = server.answers.pop(0) if server.answers else 200
        if status == 200:
            encoding = self.headers.get("content-encoding", "")
            if encoding == "gzip":
                body = gzip.decompress(body)
            elif encoding == "deflate":
                body = zlib.decompress(body)
            signal = self.path.rsplit("/", 1)[-1]
            if self.headers["content-type"] == "application/json":
                message = decode_json(signal, body.decode())
            else:
                message = REQUESTS[signal]()
                message.ParseFromString(body)
            server.received.headers.append({k.lower(): v for k, v in self.headers.items()})
            server.received.take(signal, message)
        self.send_response(status)
        if status == 429:
            self.send_header("retry-after", "1")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def http_receiver(
    answers: list[int] | None = None, delay_s: float = 0.0, certificate: Path | None = None
) -> Iterator[tuple[str, Received]]:
    """Serve OTLP over HTTP; `answers` are the first status codes instead of 200.

    With a certificate, which its file holds with its key, it is served over TLS.
    """
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.received = Received()
    server.answers = list(answers or ())
    server.delay_s = delay_s
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}", server.received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _services(signal: str) -> Any:
    name = f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2_grpc"
    return importlib.import_module(name)


@contextmanager
def grpc_receiver() -> Iterator[tuple[str, Received]]:
    """Serve OTLP over gRPC."""
    grpc: Any = importlib.import_module("grpc")
    logs_service_pb2_grpc: Any = _services("logs")
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    metrics_service_pb2_grpc: Any = _services("metrics")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceResponse,
    )

    trace_service_pb2_grpc: Any = _services("trace")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    received = Received()

    def servicer(base: Any, signal: str, answer: Any) -> Any:
        def export(self: Any, request: Any, context: Any) -> Any:
            received.take(signal, request)
            return answer()

        return type("Servicer", (base,), {"Export": export})()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(
        servicer(trace_service_pb2_grpc.TraceServiceServicer, "traces", ExportTraceServiceResponse),
        server,
    )
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
        servicer(logs_service_pb2_grpc.LogsServiceServicer, "logs", ExportLogsServiceResponse),
        server,
    )
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
        servicer(
            metrics_service_pb2_grpc.MetricsServiceServicer, "metrics", ExportMetricsServiceResponse
        ),
        server,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", received
    finally:
        server.stop(0.2).wait(5)


def as_dict(message: Message) -> dict[str, Any]:
    return dict(MessageToDict(message))
