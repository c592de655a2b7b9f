"""Logs are JSON lines of allowed keys; traces travel as W3C headers."""

import ast
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.decider import trace_headers
from libs.telemetry import ALLOWED_KEYS, current_headers, span, span_context

HEADERS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
HOSTILE = ["\x1b[31m", 'a"b', "a\nb", "\u2028", "\ud800", "x" * 10_000, "{", "\x00", "日切"]


def _lines(script: str) -> list[dict[str, object]]:
    # A process of its own: set-up is once a process.
    begin = "import logging, os\nfrom libs import telemetry\ntelemetry.setup('payments')\n"
    begin += "log = telemetry.get_logger()\n"
    run = subprocess.run(
        [sys.executable, "-c", begin + script], check=True, capture_output=True, timeout=60
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_line_carries_who_and_when_and_only_allowed_keys() -> None:
    (line,) = _lines("log.info('payment_closed', payment_id='p', payer_name='Jane', amount=5)")

    assert line["event"] == "payment_closed"
    assert line["service"] == "payments"
    assert line["payment_id"] == "p"
    assert line.keys() <= ALLOWED_KEYS
    assert not {"payer_name", "amount"} & line.keys()


@pytest.mark.parametrize("folder", ["libs", "services"])
def test_no_line_of_the_code_has_a_key_that_would_be_dropped(folder: str) -> None:
    root = Path(__file__).parents[2]
    dropped = [
        f"{file.relative_to(root)}:{call.lineno} {keyword.arg}"
        for file in sorted((root / folder).rglob("*.py"))
        if not file.is_relative_to(root / "libs" / "gen")
        for call in _log_calls(ast.parse(file.read_text()))
        for keyword in call.keywords
        if keyword.arg not in ALLOWED_KEYS | {"exc_info"}
    ]

    assert dropped == []


def _log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in LEVELS and "log" in ast.unparse(node.func.value):
            yield node


def test_a_line_inside_a_span_names_its_trace() -> None:
    script = f"with telemetry.span('x', headers={HEADERS!r}):\n    log.info('in')\nlog.info('out')"
    inside, outside = _lines(script)

    assert inside["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "trace_id" not in outside


def test_an_exception_shows_no_values() -> None:
    script = (
        "try:\n    iban = 'CZ6508000000192000145399'\n    raise KeyError(1)\n"
        "except KeyError as error:\n    log.error('broke', exc_info=error)"
    )
    (line,) = _lines(script)

    assert "KeyError" in json.dumps(line["exception"])
    assert "CZ65" not in json.dumps(line)


def test_libraries_speak_in_the_same_lines() -> None:
    (line,) = _lines("logging.getLogger('grpc').warning('odd %s', 1); logging.info('quiet')")

    assert (line["event"], line["source"], line["error"]) == ("library_message", "grpc", "odd 1")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_line(text: str) -> None:
    (line,) = _lines(f"log.info('x', error={text!r})")

    assert line["event"] == "x"


def test_metrics_are_on_a_page_of_loopback() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    script = (
        "from libs import telemetry\n"
        f"telemetry.setup('payments', metrics_port={port})\n"
        "telemetry.meter.create_counter('hefu.tried').add(3)\n"
        "print('ready', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
        process.kill()

    assert "hefu_tried_total" in text


def test_a_span_continues_the_trace_it_is_handed_and_hands_it_on() -> None:
    with span("step", headers=HEADERS):
        inside = trace_headers.get()
        assert inside == current_headers()

    assert span_context(inside).trace_id == span_context(HEADERS).trace_id
    assert trace_headers.get() == {}


def test_a_linked_span_begins_a_trace_of_its_own() -> None:
    with span("replayed", linked=HEADERS):
        inside = trace_headers.get()

    assert span_context(inside).trace_id != span_context(HEADERS).trace_id


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"other": "x"}])
def test_headers_that_say_nothing_are_no_trace(headers: dict[str, str]) -> None:
    assert not span_context(headers).is_valid


def test_a_collector_that_is_away_holds_up_no_end() -> None:
    script = (
        "from libs import telemetry\n"
        "telemetry.setup('payments', otlp_endpoint='http://localhost:1')\n"
        "with telemetry.span('x'):\n    pass\n"
        "telemetry.shutdown()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=40)
