"""Models in host processes: what dies costs nobody else anything, and nothing is left behind."""

import concurrent.futures
import json
import os
import pathlib
import signal
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import fails, numbers, status_of, stub_of, tensor
from node import PATIENCE
from streams import EXAMPLES, Stream, repetition

HOSTED = 'isolation = "process"\non_failure = "unavailable"\n'
OFTEN = '[restart]\nintensity = 1000\n'
IDENTITY = 'skillset = "identity"\n' + HOSTED


def hosts_of(node):
    """The host processes of a node."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == node.process.pid and stat[0] != "Z":
                found.append(int(process.name))
        except OSError:
            continue
    return found


def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def sleep(ms):
    return [tensor("DELAY", np.array([ms], np.uint32))]


def state_of(client, model):
    [entry] = [m for m in client.get_model_repository_index().models if m.name == model]
    return entry.state, entry.reason


@pytest.mark.parametrize("instances", [1, 2])
def test_no_request_fails_when_hosts_are_killed(make_node, instances):
    models = {"identity": IDENTITY + f"instances = {instances}\n" + OFTEN, "healthy": 'skillset = "identity"\n'}
    node = make_node(models).start().wait_ready()
    assert len(hosts_of(node)) == instances
    stop = threading.Event()
    answers = {model: [] for model in models}

    def ask(number):
        with triton.InferenceServerClient(node.address) as client:
            while not stop.is_set():
                for model, so_far in answers.items():
                    so_far.append(client.infer(model, numbers(number)).as_numpy("output").tolist() == [number])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        try:
            for _ in range(10):
                victim = hosts_of(node)[0]
                os.kill(victim, signal.SIGKILL)
                eventually(lambda: victim not in hosts_of(node) and len(hosts_of(node)) == instances)
                # So that none of those that were under way is hit twice, nor waits for longer than it may.
                before = len(answers["identity"])
                eventually(lambda: len(answers["identity"]) > before + 16)
        finally:
            stop.set()
        for one in asking:
            one.result(PATIENCE)
    assert all(all(one) for one in answers.values())
    assert node.stop() == 0


def test_what_is_not_idempotent_does_not_run_again(make_node):
    models = {"sleep": EXAMPLES["sleep"].replace("[options]", HOSTED + "idempotent = false\n[options]")}
    node = make_node(models, log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client, stub_of(node.address):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(client.infer, "sleep", sleep(600_000))
            node.log.wait_for("executing")
            os.kill(hosts_of(node)[0], signal.SIGKILL)
            with fails("UNAVAILABLE", "was killed by signal 9"):
                running.result(PATIENCE)
        eventually(lambda: len(hosts_of(node)) == 1)
        assert client.infer("sleep", sleep(1)).as_numpy("SLEPT").tolist() == [1]


def test_a_stream_that_had_responses_ends_with_the_reason(make_node):
    models = {"repeat_int32": EXAMPLES["repeat_int32"].replace("[options]", HOSTED + "[options]")}
    node = make_node(models).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        stream = Stream(client)
        stream.send("repeat_int32", repetition([1, 2], [0, 600_000]))
        assert stream.next().as_numpy("OUT").tolist() == [1]
        os.kill(hosts_of(node)[0], signal.SIGKILL)
        with pytest.raises(triton.InferenceServerException, match="was killed by signal 9"):
            stream.next()
        stream.send("repeat_int32", repetition([3]))
        assert stream.next().as_numpy("OUT").tolist() == [3]
        stream.close()


def test_hosts_that_die_again_and_again_make_their_model_unavailable_and_nothing_else(make_node):
    models = {"identity": IDENTITY + "[restart]\nintensity = 2\n", "healthy": 'skillset = "identity"\n'}
    node = make_node(models).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        for _ in range(3):
            eventually(lambda: hosts_of(node))
            victim = hosts_of(node)[0]
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: victim not in hosts_of(node))
        eventually(lambda: state_of(client, "identity")[0] == "UNAVAILABLE")
        assert "was killed by signal 9" in state_of(client, "identity")[1]
        assert client.is_server_ready() and client.infer("healthy", numbers(1)) is not None
        client.load_model("identity")
        assert client.infer("identity", numbers(5)).as_numpy("output").tolist() == [5]


def test_work_that_ignores_its_cancellation_costs_its_host_and_the_slot_is_free(make_node):
    models = {"stubborn": EXAMPLES["stubborn_sleep"].replace("[options]", HOSTED + '[cancel]\ngrace = "100ms"\n[options]')}
    node = make_node(models, slots=1, log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        request = triton.service_pb2.ModelInferRequest(model_name="stubborn")
        request.inputs.add(name="DELAY", datatype="UINT32", shape=[1])
        request.raw_input_contents.append((600_000).to_bytes(4, "little"))
        running = stub.ModelInfer.future(request)
        node.log.wait_for("executing")
        running.cancel()
        assert client.infer("stubborn", sleep(1)).as_numpy("SLEPT").tolist() == [1]
        assert status_of(running) == "CANCELLED"
        node.log.wait_for("host ended")


def test_a_host_has_what_its_model_allows_it(make_node, sanitized):
    if sanitized:
        pytest.skip("a sanitizer's own memory is beyond every bound")
    models = {"identity": IDENTITY + "[host]\nmemory_mib = 200\nopen_files = 20\n"}
    node = make_node(models).start().wait_ready()
    limits = pathlib.Path(f"/proc/{hosts_of(node)[0]}/limits").read_text().splitlines()
    soft = {line[:25].strip(): line[26:46].strip() for line in limits}
    assert (soft["Max data size"], soft["Max open files"]) == (str(200 << 20), "20")
    with triton.InferenceServerClient(node.address) as client:
        assert client.infer("identity", numbers(6)).as_numpy("output").tolist() == [6]
        # What comes in shared memory is not the host's; test_misbehaving has one that takes more of its own.
        large = [1.0] * (60 << 18)
        assert client.infer("identity", numbers(*large)).as_numpy("output").tolist() == large


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_hosts_end_with_their_node(make_node, number):
    node = make_node({"identity": IDENTITY + "instances = 2\n"}).start().wait_ready()
    hosts = hosts_of(node)
    assert len(hosts) == 2
    node.signal(number)
    node.wait()
    eventually(lambda: not any(pathlib.Path(f"/proc/{host}").exists() for host in hosts))


def test_loading_and_unloading_leaves_no_process_and_no_descriptor(make_node):
    node = make_node({"identity": IDENTITY}).start().wait_ready()
    descriptors = lambda: len(os.listdir(f"/proc/{node.process.pid}/fd"))
    threads = lambda: len(os.listdir(f"/proc/{node.process.pid}/task"))
    with triton.InferenceServerClient(node.address) as client:
        def cycle():
            client.load_model("identity")
            assert client.infer("identity", numbers(4)).as_numpy("output").tolist() == [4]
            client.unload_model("identity")

        cycle()
        eventually(lambda: not hosts_of(node))
        before = descriptors(), threads()
        for _ in range(20):
            cycle()
        eventually(lambda: not hosts_of(node))
        eventually(lambda: descriptors() <= before[0] + 2 and threads() <= before[1] + 2)
