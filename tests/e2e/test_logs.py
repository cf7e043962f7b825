"""What a node writes down can be read by people and by machines, and nobody who sends requests can forge it."""

import json
import re
from datetime import datetime

import pytest
import tritonclient.grpc as triton

from messages import numbers, slow_request, status_of, stub_of

EVIL_IDS = [
    'two\nlines',
    '"}\n{"event":"node stopped","exit_code":0}',
    'a \\" quote and a \\ backslash',
    '\r\x1b[2J\x00\x7f\t bell \x07',
    'id=other code=OK',
    'ünïcode \u2028\u2029\x85 breaks',
]


def one_of_each(node):
    """Has a node log a request that succeeds and one that fails."""
    with triton.InferenceServerClient(node.address) as client:
        client.infer("identity", numbers(), request_id="good one")
        with pytest.raises(triton.InferenceServerException):
            client.infer("identity", [], request_id="bad one")
    assert node.stop() == 0


def test_every_line_of_json_is_an_object_with_time_level_and_event(make_node):
    node = make_node(log_level="trace").start().wait_ready()
    one_of_each(node)
    for line in node.log.lines:
        event = json.loads(line)
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        assert event["level"] in ("trace", "debug", "info", "warning", "error", "critical")
        assert event["event"]
    assert node.log.events("node stopped")[0]["exit_code"] == 0


def test_a_request_is_logged_with_id_model_code_and_time(make_node):
    node = make_node(log_level="debug").start().wait_ready()
    one_of_each(node)
    good, bad = node.log.events("request")
    assert {**good, "time": 0, "ms": 0} == {"time": 0, "level": "debug", "event": "request", "id": "good one",
                                            "model": "identity", "code": "OK", "ms": 0}
    assert (bad["level"], bad["id"], bad["code"]) == ("info", "bad one", "INVALID_ARGUMENT")
    assert "'input' is missing" in bad["reason"]
    assert good["ms"] >= 0 and bad["ms"] >= 0


def test_text_lines_are_time_level_event_and_fields(make_node):
    node = make_node(log_format="text").start().wait_ready()
    one_of_each(node)
    for line in node.log.lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (debug|info|warning) +\S.*", line), line
    assert any(re.search(r'request id="good one" model=identity code=OK ms=\d+\.\d+$', line)
               for line in node.log.lines)


def test_requests_that_succeed_are_not_logged_by_default(make_node):
    node = make_node(log_level="info").start().wait_ready()
    one_of_each(node)
    assert [request["id"] for request in node.log.events("request")] == ["bad one"]


def test_a_log_that_is_off_says_nothing(make_node):
    node = make_node(log_level="off").start().wait_ready()
    one_of_each(node)
    assert node.log.lines == []


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_id_cannot_forge_a_line(make_node, log_format):
    node = make_node(log_format=log_format).start().wait_ready()
    with stub_of(node.address) as stub:
        for evil in EVIL_IDS:
            assert status_of(stub.ModelInfer.future(slow_request(0, id=evil))) == "OK"
            assert status_of(stub.ModelInfer.future(slow_request(-1, model=evil, id=evil))) == "NOT_FOUND"
    assert node.stop() == 0
    if log_format == "json":
        assert [request["id"] for request in node.log.events("request")] == [e for e in EVIL_IDS for _ in range(2)]
        assert all(json.loads(line) for line in node.log.lines)
    else:
        assert len([line for line in node.log.lines if " request id=" in line]) == 2 * len(EVIL_IDS)
        assert all(re.match(r"\d{4}-\d\d-\d\d ", line) for line in node.log.lines)
    assert not [line for line in node.log.lines if re.search(r"[\x00-\x1f\x7f]", line)]


def test_what_grpc_has_to_say_is_an_event_too(make_node):
    node = make_node(listen="203.0.113.1:0").start()
    assert node.wait() == 69
    said = [line for line in node.log.lines if not line.startswith("{")]
    # The one line for whoever started the node is for people whatever the format.
    assert len(said) == 1 and said[0].startswith("troupe-node: ")
    assert node.log.events("gRPC says")
