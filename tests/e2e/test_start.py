"""A node is ready when it can answer, and otherwise ends with a code and one line that says why."""

import hashlib
import json
import os
import socket
import subprocess

import pytest
import tritonclient.grpc as triton

from messages import fails, numbers
from node import PATIENCE

IDENTITY = 'skillset = "identity"\n'
FILE = '\n[files]\nweights = {{ path = "weights.bin", sha256 = "{}" }}\n'
OF_NOTHING = hashlib.sha256(b"").hexdigest()


def fatal_line(node, exit_code):
    """The line in which a node says why it ended; sees that it is the only one, and what the exit code is."""
    assert node.start().wait() == exit_code, node.log.lines
    assert not node.ready_file.exists()
    assert not node.output.lines
    [line] = [line for line in node.log.lines if line.startswith("troupe-node: ")]
    return line


def answers(node):
    with triton.InferenceServerClient(node.address) as client:
        return client.infer("identity", numbers(3)).as_numpy("output").tolist() == [3]


def test_the_ready_file_comes_after_the_warm_up_and_says_where(make_node):
    node = make_node().start().wait_ready()
    assert json.loads(node.ready_file.read_text()) == {"grpc": node.address, "http": node.http_address}
    assert answers(node)
    node.log.wait_for("node ready")
    kinds = [event["event"] for event in node.log.events()]
    assert max(kinds.index("model ready"), kinds.index("listening")) < kinds.index("node ready")
    assert node.stop() == 0
    assert f"ready on {node.address}" in node.output.lines[0]


def test_before_its_model_is_ready_a_node_says_so(make_node, minilm):
    node = make_node({})
    files = [file for file in minilm.iterdir() if file.name != "model.toml"]
    node.write_model("minilm", (minilm / "model.toml").read_text(), files)
    node.start()
    [listening] = node.log.wait_for("listening", gateway="grpc")
    with triton.InferenceServerClient(listening["address"]) as client:
        announced = False
        while not announced:
            assert client.is_server_live() and node.process.poll() is None
            announced = node.ready_file.exists()
            # Asked after the look at the file, so that neither can have become so in between.
            ready = client.is_model_ready("minilm") and client.is_server_ready()
            assert ready or not announced


def test_a_ready_file_of_an_earlier_run_is_not_taken_for_this_ones(make_node):
    node = make_node({"identity": IDENTITY + FILE.format(OF_NOTHING)})
    node.ready_file.write_text("{}")
    fatal_line(node, 66)


def test_a_ready_file_that_cannot_be_written_is_told(make_node):
    node = make_node()
    node.ready_file = node.folder / "nowhere" / "ready"
    assert "nowhere/ready" in fatal_line(node, 64)


def test_a_taken_port_is_told(make_node):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        assert address in fatal_line(make_node(listen=address), 69)


def test_two_nodes_cannot_share_a_port(make_node):
    first = make_node().start().wait_ready()
    assert first.address in fatal_line(make_node(listen=first.address), 69)
    assert answers(first)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1",
                                     "127.0.0.1:80x", "203.0.113.1:0"])
def test_an_address_that_is_none_of_ours_is_told(make_node, address):
    assert f"'{address}'" in fatal_line(make_node(listen=address), 69)


def test_after_a_kill_a_node_starts_again_at_once_on_the_same_port(make_node):
    first = make_node().start().wait_ready()
    with triton.InferenceServerClient(first.address) as client:
        client.infer("identity", numbers(1))
        first.kill()
        second = make_node(listen=first.address).start().wait_ready()
        assert second.address == first.address
        assert answers(second)


def test_a_device_that_is_not_there_is_told(make_node):
    line = fatal_line(make_node({"identity": IDENTITY + 'device = "NPU-7"\n'}), 69)
    assert "'identity'" in line and "'NPU-7'" in line and "CPU" in line


def test_a_missing_repository_is_told(make_node):
    assert "models" in fatal_line(make_node({}), 66)


def test_a_missing_settings_file_is_told(make_node):
    node = make_node()
    node.config.unlink()
    assert str(node.config) in fatal_line(node, 66)


def test_a_missing_model_file_is_told(make_node):
    line = fatal_line(make_node({"identity": IDENTITY + FILE.format(OF_NOTHING)}), 66)
    assert "'identity'" in line and "weights" in line and "weights.bin" in line


def test_a_corrupt_model_file_is_told_with_both_hashes(make_node):
    node = make_node({"identity": IDENTITY + FILE.format(OF_NOTHING)})
    (node.folder / "models" / "identity" / "weights.bin").write_bytes(b"x")
    line = fatal_line(node, 65)
    assert "'identity'" in line and "weights.bin" in line
    assert OF_NOTHING in line and hashlib.sha256(b"x").hexdigest() in line


def test_a_model_file_with_the_right_hash_is_no_obstacle(make_node):
    node = make_node({"identity": IDENTITY + FILE.format(OF_NOTHING)})
    (node.folder / "models" / "identity" / "weights.bin").touch()
    assert answers(node.start().wait_ready())


NODE_SETTINGS = {
    "an unknown key": ('[grpc]\nlissten = "x"\n', 2, "lissten"),
    "an unknown table": ('\n[grcp]\n', 2, "grcp"),
    "a number out of range": ("[cpu]\n\nslots = -1\n", 3, "slots"),
    "a duration without a unit": ('[shutdown]\ndrain = "10"\n', 2, "drain"),
    "another type": ("[models]\npath = 1\n", 2, "path"),
    "a choice that is none": ('[log]\nlevel = "loud"\n', 2, "level"),
    "no TOML": ("[grpc\n", 1, ""),
}


@pytest.mark.parametrize("case", NODE_SETTINGS)
def test_what_is_wrong_in_the_settings_is_told_by_file_line_and_key(make_node, case):
    text, line, key = NODE_SETTINGS[case]
    node = make_node(settings=text)
    said = fatal_line(node, 78)
    assert f"{node.config}:{line}" in said and key in said


MODEL_SETTINGS = {
    "an unknown key": ('skillset = "identity"\ninstance = 2\n', 2, "instance"),
    "no skillset": ("version = \"1\"\n", 1, "skillset"),
    "an unknown skillset": ('skillset = "clairvoyance"\n', 1, "clairvoyance"),
    "an unknown option": ('skillset = "identity"\n[options]\ncolour = "red"\n', 3, "colour"),
    "an option that is none": ('skillset = "identity"\n[options]\ndatatype = "FP8"\n', 3, "datatype"),
    "no instances": ('skillset = "identity"\ninstances = 0\n', 2, "instances"),
    "a file outside": ('skillset = "identity"\n[files]\nweights = { path = "../x", sha256 = "" }\n', 3, "weights"),
    "no hash": ('skillset = "identity"\n[files]\nweights = { path = "x" }\n', 3, "weights"),
    "no TOML": ('skillset = identity\n', 1, ""),
}


@pytest.mark.parametrize("case", MODEL_SETTINGS)
def test_what_is_wrong_in_a_model_is_told_by_file_line_and_key(make_node, case):
    text, line, key = MODEL_SETTINGS[case]
    said = fatal_line(make_node({"identity": text}), 78)
    assert f"identity/model.toml:{line}" in said and key in said


@pytest.mark.parametrize("arguments", [["--bogus"], ["--log-level", "loud"], ["--log-format", "xml"], ["--listen"],
                                       ["more"]], ids=" ".join)
def test_wrong_arguments_are_told(program, arguments):
    ended = subprocess.run([program, *arguments], capture_output=True, timeout=PATIENCE, text=True)
    assert ended.returncode == 64
    assert arguments[0] in ended.stderr and "--help" in ended.stderr
    assert ended.stdout == ""


def test_help_tells_the_exit_codes_and_version_the_version(program):
    ended = subprocess.run([program, "--help"], capture_output=True, timeout=PATIENCE, text=True)
    assert ended.returncode == 0 and all(code in ended.stdout for code in ["64", "65", "66", "69", "70", "78"])
    ended = subprocess.run([program, "--version"], capture_output=True, timeout=PATIENCE, text=True)
    assert ended.returncode == 0 and ended.stdout.startswith("troupe-node ")


def test_a_model_that_may_be_unavailable_leaves_the_node_to_the_others(make_node):
    broken = 'skillset = "identity"\non_failure = "unavailable"\n' + FILE.format(OF_NOTHING)
    node = make_node({"identity": IDENTITY, "broken": broken}).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert client.is_server_ready()
        assert not client.is_model_ready("broken")
        states = {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
        assert states["identity"] == ("READY", "")
        assert states["broken"][0] == "UNAVAILABLE" and "weights.bin" in states["broken"][1]
        for ask in (lambda: client.infer("broken", numbers()), lambda: client.get_model_metadata("broken")):
            with fails("UNAVAILABLE", "'broken'", "weights.bin"):
                ask()
    assert answers(node)
    assert node.stop() == 0


def test_a_node_whose_output_nobody_reads_goes_on(make_node):
    """As in `troupe-node | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    node = make_node().start(writer)
    os.close(writer)
    assert answers(node.wait_ready())
    assert node.stop() == 0
