"""HTTP with clients of all kinds: who is answered, who is refused, who is cut off; and the node is well afterwards."""

import contextlib
import http.client
import json
import random
import socket
import ssl
import subprocess

import pytest

from messages import numbers
from node import PATIENCE

NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"
HALF = b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000


@contextlib.contextmanager
def peer(node, sent=b""):
    """A connection, byte by byte."""
    host, port = node.http_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE) as connected:
        connected.sendall(sent)
        yield connected


def read_all(connected):
    """What the node says until it ends the connection."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connected.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def ask(node, path="/nowhere", method="GET", tls=None, **fields):
    """Status, fields and body of an answer."""
    host, port = node.http_address.rsplit(":", 1)
    make = http.client.HTTPConnection if tls is None else http.client.HTTPSConnection
    with contextlib.closing(make(host, int(port), timeout=PATIENCE, **({"context": tls} if tls else {}))) as client:
        client.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
        answer = client.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def counts(node, troupe):
    """The node's HTTP metrics without labels, or with those in their name."""
    printed = troupe("--target", node.address, "metrics").stdout
    return {line.rsplit(" ", 1)[0].removeprefix("troupe_http_"): float(line.rsplit(" ", 1)[1])
            for line in printed.splitlines() if line.startswith("troupe_http_")}


def wait_for_count(node, troupe, name, wanted):
    for _ in range(PATIENCE * 10):
        if wanted(counts(node, troupe)[name]):
            return
    raise AssertionError(counts(node, troupe))


@pytest.fixture
def well(node, client):
    """Sees that the shared node is well after the test."""
    yield
    assert ask(node)[0] == 404
    assert client.infer("identity", numbers(1, 2)).as_numpy("output").tolist() == [1, 2]


def test_errors_have_bodies_and_ids(node, well):
    status, fields, body = ask(node, x_request_id="mine-1")
    assert status == 404 and fields["x-request-id"] == "mine-1" and fields["content-type"] == "application/json"
    assert json.loads(body)["error"].startswith("NOT_FOUND: there is no '/nowhere'")
    assert ask(node, "*", "OPTIONS")[0] == 204
    assert ask(node, method="HEAD")[2] == b""


BAD = {
    "both lengths": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", 400),
    "a huge length": (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "a long target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    "a long field": (b"GET / HTTP/1.1\r\nHost: h\r\nx: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "many fields": (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"x: y\r\n" * 100_000 + b"\r\n", 431),
    "a target that is none": (b"GET nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "half a percent": (b"GET /%f HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a NUL in the path": (b"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "bytes that are no UTF-8": (b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "a proxy's method": (b"CONNECT other:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    "noise": (b"\x00" + random.Random(7).randbytes(100_000), 400),
    "an expectation": (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\n\r\n", 417),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_gets_an_error_and_the_end(node, well, case):
    sent, status = BAD[case]
    with peer(node) as connected:
        # The node may have answered, and ended the connection, before it has all.
        with contextlib.suppress(ConnectionError):
            connected.sendall(sent + NOWHERE)
        answer = read_all(connected)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"\r\nx-request-id: ") == 1, "what stood behind it was taken for a request"
    assert b"\r\nConnection: close\r\n" in answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]


def test_clients_may_leave_at_any_byte(node, well, troupe):
    for length in range(len(NOWHERE)):
        with peer(node, NOWHERE[:length]):
            pass
    with peer(node, HALF):
        pass
    wait_for_count(node, troupe, "open_connections", lambda n: n == 0)


def test_a_client_that_stops_sending_gets_the_end(node, well):
    for sent in (b"", NOWHERE[:-3], HALF):
        with peer(node, sent) as connected:
            connected.shutdown(socket.SHUT_WR)
            read_all(connected)


def test_pipelined_requests_are_answered_in_order(node, well):
    sent = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(1000))
    with peer(node, sent) as connected:
        connected.shutdown(socket.SHUT_WR)
        answers = read_all(connected)
    assert [answers.find(b"there is no '/%d'" % i) for i in range(1000)] == sorted(
        answers.find(b"there is no '/%d'" % i) for i in range(1000))
    assert answers.count(b"HTTP/1.1 404 ") == 1000


def test_a_body_that_nobody_wants_is_refused_at_once(node, well):
    with peer(node, b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n") as connected:
        assert read_all(connected).startswith(b"HTTP/1.1 404 ")


def test_two_thousand_idle_connections_cost_nobody_anything(node, well, troupe, client):
    with contextlib.ExitStack() as idle:
        for number in range(2000):
            idle.enter_context(peer(node, NOWHERE[:number % 3]))
        assert ask(node)[0] == 404
        assert client.infer("identity", numbers(3)).as_numpy("output").tolist() == [3]
        assert counts(node, troupe)["open_connections"] >= 2000
    wait_for_count(node, troupe, "open_connections", lambda n: n == 0)


def test_those_who_dawdle_are_cut_off(make_node, troupe):
    node = make_node(http='header_timeout = "1s"\nbody_timeout = "1s"\nwrite_timeout = "1s"\nidle_timeout = "1s"')
    node.start().wait_ready()
    with peer(node) as idle, peer(node, NOWHERE[:9]) as slow_head:
        assert read_all(idle) == b""
        assert read_all(slow_head).startswith(b"HTTP/1.1 408 ")
    with peer(node) as never_reads:
        with pytest.raises(OSError):
            while True:
                never_reads.sendall(NOWHERE * 1000)
    wait_for_count(node, troupe, "open_connections", lambda n: n == 0)
    counted = counts(node, troupe)
    for cause in ("idle", "header", "reading"):
        assert counted[f'cut_off_total{{cause="{cause}"}}'] >= 1, cause
    assert ask(node)[0] == 404
    assert node.stop() == 0


def test_one_connection_too_many_is_told_so(make_node):
    node = make_node(http="max_connections = 2").start().wait_ready()
    with peer(node) as first, peer(node) as second, peer(node) as third:
        assert read_all(third).startswith(b"HTTP/1.1 503 ")
        for connected in (first, second):
            connected.sendall(NOWHERE)
            assert connected.recv(1000).startswith(b"HTTP/1.1 404 ")
    assert node.stop() == 0


def make_key(troupe, *arguments):
    return json.loads(troupe("--json", "keys", "new", *arguments).stdout)


def test_with_keys_in_a_file_one_is_wanted(make_node, troupe):
    node = make_node(http='api_keys = "keys"')
    alice, bob = make_key(troupe, "alice", "--rate", "2"), make_key(troupe, "bob")
    keys = node.folder / "keys"
    keys.write_text(alice["line"] + "\n")
    node.start().wait_ready()

    def status(key):
        return ask(node, authorization=f"Bearer {key}")[0]

    assert ask(node)[0] == 401 and ask(node)[1]["www-authenticate"] == "Bearer"
    assert status(bob["key"]) == 401
    assert [status(alice["key"]) for _ in range(3)] == [404, 404, 429]
    assert int(ask(node, authorization=f"Bearer {alice['key']}")[1]["retry-after"]) > 0
    keys.write_text(alice["line"] + "\n" + bob["line"] + "\n")
    while status(bob["key"]) == 401:
        assert node.process.poll() is None
    keys.write_text("rubbish\n")
    while not node.log.events("API keys stay as they were"):
        assert status(bob["key"]) == 404
    assert not any(alice["key"] in line or bob["key"] in line for line in node.log.lines)
    assert node.stop() == 0


def test_nobody_gets_a_key_with_a_bad_name(troupe):
    assert troupe("keys", "new", "a b").returncode == 65
    assert troupe("keys", "new", "a", "--rate", "0").returncode == 64


def test_speaks_tls(make_node):
    node = make_node(http='tls_certificate = "cert.pem"\ntls_key = "key.pem"')
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
                   cwd=node.folder, check=True, capture_output=True)
    node.start().wait_ready()
    trusted = ssl.create_default_context(cafile=node.folder / "cert.pem")
    assert ask(node, tls=trusted)[0] == 404
    with peer(node, NOWHERE) as plain:
        assert b"404" not in read_all(plain)
    with peer(node) as silent:
        assert ask(node, tls=trusted)[0] == 404
        silent.close()
    assert node.stop() == 0


def test_pages_of_chosen_origins_may_ask(make_node):
    node = make_node(http='cors_origins = ["https://good.example"]').start().wait_ready()
    assert ask(node, origin="https://good.example")[1]["access-control-allow-origin"] == "https://good.example"
    assert "access-control-allow-origin" not in ask(node, origin="https://other.example")[1]
    assert node.stop() == 0


def test_http_can_be_switched_off(make_node):
    node = make_node(http_listen="").start().wait_ready()
    assert node.http_address is None
    assert not node.log.events("listening", gateway="http")
    assert node.stop() == 0


@pytest.mark.parametrize("http,listen,code", [
    ("", "0.0.0.0:0", 78), ("", "nonsense", 69), ("insecure = 1", "127.0.0.1:0", 78),
    ('api_keys = "none"', "127.0.0.1:0", 66), ('tls_key = "key.pem"', "127.0.0.1:0", 78),
    ('tls_key = "troupe.toml"\ntls_certificate = "troupe.toml"', "127.0.0.1:0", 78)])
def test_wrong_settings_are_told(make_node, http, listen, code):
    node = make_node(http=http, http_listen=listen).start()
    assert node.wait() == code
    assert sum(line.startswith("troupe-node: ") for line in node.log.lines) == 1


def test_whoever_is_sure_may_listen_to_all(make_node):
    node = make_node(http="insecure = true", http_listen="0.0.0.0:0").start().wait_ready()
    node.http_address = node.http_address.replace("0.0.0.0", "127.0.0.1")
    assert ask(node)[0] == 404
    assert node.stop() == 0


def test_a_node_stops_at_once_with_clients_that_do_nothing(make_node):
    node = make_node(drain="1h").start().wait_ready()
    with peer(node), peer(node, NOWHERE[:9]), peer(node, HALF):
        ask(node)
        assert node.stop() == 0
