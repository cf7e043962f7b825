"""Plug-ins that do what no plug-in should, in hosts of a node: each ends in the error that is documented for it, while a
healthy model of the same node goes on answering."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import threading

import pytest
import tritonclient.grpc as triton

from messages import fails, numbers, status_of, stub_of
from node import PATIENCE, Node
from test_hosts import eventually, hosts_of

UNRULY = """skillset = "unruly"
isolation = "process"
on_failure = "unavailable"
idempotent = false
[restart]
intensity = 1000
backoff = "0s"
[cancel]
grace = "300ms"
"""
BOUNDED = "memory_mib = 256\n"
HASTY = f'[host]\nsilence = "1s"\n{BOUNDED}open_files = 64\n'
PATIENT = '[host]\nsilence = "5m"\n'  # ThreadSanitizer needs a minute for a gigabyte of words
MODELS = {"unruly": UNRULY + HASTY, "patient": UNRULY + PATIENT, "healthy": 'skillset = "identity"\n'}


def link_or_copy(file, to):
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)


@pytest.fixture(name="program", scope="module")
def program_with_unruly(program, tmp_path_factory):
    """The node's program where the plug-in is among its skillsets."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "bin").mkdir()
    skillsets = tree / "lib/troupe/skillsets"
    skillsets.mkdir(parents=True)
    for name in ("troupe-node", "troupe-host"):
        link_or_copy(program.with_name(name), tree / "bin" / name)
    (skillsets / "unruly.so").symlink_to(program.parent.parent / "apps/host/unruly.so")
    return tree / "bin" / "troupe-node"


@pytest.fixture(scope="module")
def end_at_once():
    """ThreadSanitizer waits at an exit, and that for longer than a node does for a host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSAN_OPTIONS", os.environ.get("TSAN_OPTIONS", "") + ":atexit_sleep_ms=0")
        yield


@pytest.fixture(name="node", scope="module")
def node_that_bears_it(program, sanitized, end_at_once):
    # A sanitizer's own memory is beyond every bound.
    models = {name: text.replace(BOUNDED, "") for name, text in MODELS.items()} if sanitized else MODELS
    with Node(program, models, log_level="trace") as node:
        node.start().wait_ready()
        yield node
        assert node.stop() == 0


@pytest.fixture(name="client")
def client_of(node):
    with triton.InferenceServerClient(node.address) as connected:
        yield connected


@pytest.fixture(autouse=True)
def healthy(node):
    """Keeps asking the healthy model, as often as it answers."""
    stop, answers, failures = threading.Event(), [], []

    def ask():
        with triton.InferenceServerClient(node.address) as client:
            while not (stop.wait(0.005) and answers) and not failures:
                try:
                    answer = client.infer("healthy", numbers(len(answers)), client_timeout=PATIENCE)
                    answers.append(answer.as_numpy("output").tolist() == [len(answers)])
                except triton.InferenceServerException as e:
                    failures.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    stop.set()
    thread.join(PATIENCE)
    assert answers and all(answers) and not failures
    assert node.process.poll() is None


def act(client, what, model="unruly", **parameters):
    result = client.infer(model, [], parameters={"do": what, **parameters}, client_timeout=PATIENCE)
    return result.get_response().parameters


def works(client, model="unruly"):
    act(client, "tell", model)
    return True


@pytest.mark.parametrize("what, words", [
    ("segfault", ["was killed by signal 11"]),
    ("crash", ["was killed by signal 6"]),
    ("exit", ["ended with exit code 0"]),
    ("hang", ["did not answer within 1000 ms, and was killed"]),
    ("spin", ["did not answer within 1000 ms, and was killed"]),
    ("deadlock", ["did not answer within 1000 ms, and was killed"]),
    ("close the socket", []),
    ("shut the socket down", ["ended with exit code 0"]),
    ("say garbage", ["announces a message of", "which can't be one, and was killed"]),
    ("announce more than comes", ["did not answer within 1000 ms, and was killed"]),
    ("answer another", ["answers what it was not asked, and was killed"]),
])
def test_what_costs_a_host_its_life(client, what, words):
    with fails("UNAVAILABLE", *words):
        act(client, what)
    assert works(client)


def test_an_answer_too_many_costs_its_life_and_the_first_one_counts(node, client):
    assert works(client)
    before = set(hosts_of(node))
    with fails("INTERNAL", "without a response"):
        act(client, "answer twice")
    assert works(client)
    eventually(lambda: len(before & set(hosts_of(node))) == len(before) - 1)


@pytest.mark.parametrize("what, code, words", [
    ("throw", "INTERNAL", ["thrown on purpose"]),
    ("throw a number", "INTERNAL", ["no exception"]),
    ("give wrong shapes", "INTERNAL", ["1 outputs, not 0"]),
])
def test_what_fails_its_request_alone(node, client, what, code, words):
    assert works(client)
    before = hosts_of(node)
    with fails(code, *words):
        act(client, what)
    assert works(client) and hosts_of(node) == before


def test_memory_beyond_its_bound_is_refused_to_it(client, sanitized):
    if sanitized:
        pytest.skip("it has no bound there")
    with fails("INTERNAL", "bad_alloc"):
        act(client, "allocate", mib=512)
    assert works(client)


def test_descriptors_that_leak_are_its_own(node, client):
    before = len(os.listdir(f"/proc/{node.process.pid}/fd"))
    assert act(client, "open")["opened"].int64_param < 64
    for _ in range(3):
        act(client, "open")
    assert len(os.listdir(f"/proc/{node.process.pid}/fd")) <= before + 2
    with fails("UNAVAILABLE"):
        act(client, "exit")
    assert act(client, "open")["opened"].int64_param > 16


def test_children_die_with_it(client):
    child = pathlib.Path(f"/proc/{act(client, 'leave a child')['child'].int64_param}")
    assert child.exists()
    with fails("UNAVAILABLE", "exit code 0"):
        act(client, "exit")
    eventually(lambda: not child.exists() or " Z " in (child / "stat").read_text())
    assert works(client)


def test_work_that_ignores_its_cancellation_is_ended(node, client):
    with stub_of(node.address) as stub:
        request = triton.service_pb2.ModelInferRequest(model_name="patient")
        request.parameters["do"].string_param = "hang"
        before = len(node.log.events("executing", model="patient"))
        running = stub.ModelInfer.future(request)
        node.log.wait_for("executing", before + 1, model="patient")
        running.cancel()
        assert status_of(running) == "CANCELLED"
        assert works(client, "patient")
        node.log.wait_for("host ended", model="patient", how="was killed by signal 15 (Terminated)")


def test_a_gigabyte_of_words_is_borne_and_mostly_left_out(node, client):
    assert act(client, "flood", "patient")["written"].int64_param >= 1 << 30
    node.log.wait_for("host says too much, some of it is left out")
    assert len(node.log.lines) < 1 << 20


@pytest.mark.parametrize("function", ["load", "describe", "make_instance", "warm_up", "batching"])
@pytest.mark.parametrize("how, code, words", [
    ("throw", "INTERNAL", ["thrown on purpose"]),
    ("throw a number", "INTERNAL", ["no exception"]),
    ("segfault", "UNAVAILABLE", ["was killed by signal 11"]),
    ("exit", "UNAVAILABLE", ["ended with exit code 0"]),
])
def test_a_function_that_fails_is_why_the_model_does_not_load(node, client, function, how, code, words):
    name = f"{function}-{how.replace(' ', '-')}"
    node.write_model(name, UNRULY + f'[options]\nin = "{function}"\nhow = "{how}"\n')
    with fails(code, *words):
        client.load_model(name)
    assert works(client)


def test_files_that_crash_their_skillset_are_tried_in_a_host(node, client):
    """Also where the model is to live in the node itself."""
    text = UNRULY.replace("process", "thread") + '[options]\nin = "load"\nhow = "{}"\n' \
        + '[files]\nweights = {{ path = "weights", sha256 = "{}" }}\n'
    model = node.write_model("foreign", text.format("segfault", hashlib.sha256(b"weights").hexdigest()))
    (model / "weights").write_bytes(b"weights")
    with fails("UNAVAILABLE", "the model's files crash skillset 'unruly'", "was killed by signal 11"):
        client.load_model("foreign")
    (model / "weights").write_bytes(b"others")
    with fails("DATA_LOSS", "has sha256"):
        client.load_model("foreign")
    (model / "model.toml").write_text(text.format("", hashlib.sha256(b"others").hexdigest()))
    client.load_model("foreign")
    assert works(client, "foreign")
    client.unload_model("foreign")


def test_a_start_that_is_slow_is_waited_for_and_one_that_never_ends_is_not(node, client):
    node.write_model("slow", UNRULY + '[options]\nin = "load"\nhow = "be slow"\n')
    client.load_model("slow")
    assert works(client, "slow")
    client.unload_model("slow")
    node.write_model("never", UNRULY + '[host]\nstart = "500ms"\n[options]\nin = "load"\nhow = "hang"\n')
    with fails("UNAVAILABLE", "did not answer within 500 ms, and was killed"):
        client.load_model("never")


def test_a_plug_in_of_another_build_is_refused_before_any_of_it_runs(program):
    own = (program.parent.parent / "lib/troupe/skillsets/unruly.so").read_bytes()
    other, changes = re.subn(rb"sdk [0-9a-f]{16}", b"sdk 0123456789abcdef", own)
    assert changes > 0
    with Node(program, {"healthy": MODELS["healthy"]}, settings='[skillsets]\npaths = ["plugins"]\n') as node:
        (node.folder / "plugins").mkdir()
        (node.folder / "plugins/unruly.so").write_bytes(other)
        node.start().wait_ready()
        node.write_model("unruly", UNRULY)
        with triton.InferenceServerClient(node.address) as client:
            with fails("FAILED_PRECONDITION", "sdk 0123456789abcdef", "build it again"):
                client.load_model("unruly")
            assert client.infer("healthy", numbers(1)).as_numpy("output").tolist() == [1]
        assert node.stop() == 0


def test_a_plug_in_that_gives_no_skillset_is_refused(program, monkeypatch):
    monkeypatch.setenv("TROUPE_UNRULY", "nothing")
    with Node(program, {"healthy": MODELS["healthy"]}) as node:
        node.start().wait_ready()
        node.write_model("unruly", UNRULY)
        with triton.InferenceServerClient(node.address) as client:
            with fails("UNAVAILABLE", "gives no skillset"):
                client.load_model("unruly")
            assert client.infer("healthy", numbers(1)).as_numpy("output").tolist() == [1]
        assert node.stop() == 0
