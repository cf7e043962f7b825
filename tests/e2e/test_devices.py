"""The devices that a node says it has, against what the machine has, and how busy it says they are."""

import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.parse

import grpc
import pytest
import tritonclient.grpc as triton

from conftest import IDENTITY
from messages import raw_request, slow_request, status_of, stub_of, texts
from node import PATIENCE
from streams import EXAMPLES

FOREVER = 600_000
NO_DEVICE = 'device = "GPU.99"\non_failure = "unavailable"\n'


@pytest.fixture
def devices_of(troupe):
    """The devices that `troupe devices` tells of a node, by their names."""

    def ask(node):
        answer = troupe("--target", node.address, "--json", "devices")
        assert (answer.returncode, answer.stderr) == (0, "")
        return {device["name"]: device for device in json.loads(answer.stdout)["devices"]}

    return ask


def until(ask, found):
    """What `ask` answers once that is `found`; a pool does not tell when its numbers change."""
    end = time.monotonic() + PATIENCE
    while not found(answer := ask()):
        assert time.monotonic() < end, answer
    return answer


def of_cpuinfo(key):
    """What the first processor of this machine says of itself."""
    found = re.search(rf"^{key}\t+: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else ""


def quota():
    """The cores that a container with a quota gives."""
    file = pathlib.Path("/sys/fs/cgroup/cpu.max")
    most, period = file.read_text().split() if file.exists() else ("max", 0)
    return math.inf if most == "max" else math.ceil(int(most) / int(period))


def test_the_cpu_is_the_machines(node, devices_of):
    cpu = devices_of(node)["CPU"]
    assert cpu["cores"] == cpu["pool"]["threads"] == min(len(os.sched_getaffinity(0)), quota())
    assert cpu["full_name"] == of_cpuinfo("model name")
    assert cpu["runtimes"] == []
    flags = of_cpuinfo("flags").split()
    assert set(cpu["instruction_sets"]) <= set(flags)
    assert ("avx2" in cpu["instruction_sets"]) == ("avx2" in flags)
    memory = pathlib.Path("/proc/meminfo").read_text().split()
    assert 0 < cpu["pool"]["bytes"] <= int(memory[memory.index("MemTotal:") + 1]) << 10


def test_the_cores_are_those_of_the_affinity_whatever_the_slots(make_node, devices_of):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        node = make_node(slots=3).start()
    finally:
        os.sched_setaffinity(0, allowed)
    cpu = devices_of(node.wait_ready())["CPU"]
    assert (cpu["cores"], cpu["pool"]["threads"]) == (1, 3)


def test_a_runtime_tells_what_it_finds_and_what_that_can_do(make_node, minilm, devices_of):
    node = make_node({"identity": IDENTITY, "embedder": 'skillset = "text_embedding"\non_failure = "unavailable"\n'})
    devices = devices_of(node.start().wait_ready())
    [openvino] = devices["CPU"]["runtimes"]
    assert openvino["name"] == "OpenVINO" and re.match(r"\d+\.\d+\.\d+", openvino["version"])
    assert openvino["full_name"]
    assert {"FP32", "INT8"} <= set(openvino["capabilities"])
    [ready] = node.log.events("device ready", device="CPU")
    assert ready["capabilities"].split() == openvino["capabilities"]
    assert ready["runtimes"] == f"OpenVINO {openvino['version']}"
    assert ready["instruction_sets"].split() == devices["CPU"]["instruction_sets"]


def test_the_pool_tells_what_runs_and_what_waits(make_node, devices_of):
    node = make_node({"identity": IDENTITY, "sleep": EXAMPLES["sleep"]}, slots=1, log_level="trace")
    node.start().wait_ready()
    idle = devices_of(node)["CPU"]["pool"]
    assert (idle["threads"], idle["busy"], idle["queued"]) == (1, 0, 0)
    with stub_of(node.address) as stub:
        sleeps = stub.ModelInfer.future(
            raw_request("sleep", ("DELAY", "UINT32", [1], FOREVER.to_bytes(4, "little"))))
        until(lambda: devices_of(node)["CPU"]["pool"], lambda pool: pool["busy"] == 1)
        waits = stub.ModelInfer.future(slow_request(1))
        pool = until(lambda: devices_of(node)["CPU"]["pool"], lambda pool: pool["queued"] == 1)
        shares = {share["name"]: (share["running"], share["queued"]) for share in pool["shares"]}
        assert pool["busy"] == 1
        assert shares == {"sleep": (1, 0), "identity": (0, 1)}
        sleeps.cancel()
        assert status_of(waits) == "OK"
        pool = until(lambda: devices_of(node)["CPU"]["pool"], lambda pool: pool["busy"] == pool["queued"] == 0)
        assert pool["finished"] > idle["finished"]
        assert all(share["seconds"] > 0 for share in pool["shares"])


def test_server_metadata_says_the_same(node, client, devices_of):
    cpu = devices_of(node)["CPU"]
    [extension] = [e for e in client.get_server_metadata().extensions if e.startswith("troupe.device/")]
    said = urllib.parse.urlsplit(extension)
    values = {key: value for key, [value] in urllib.parse.parse_qs(said.query, strict_parsing=True).items()}
    assert said.path == "troupe.device/CPU"
    assert values == {
        "slots": str(cpu["pool"]["threads"]), "cores": str(cpu["cores"]), "bytes": str(cpu["pool"]["bytes"]),
        **({"instruction_sets": ",".join(cpu["instruction_sets"])} if cpu["instruction_sets"] else {})}


@pytest.mark.parametrize("skillset", ["identity", "text_embedding"])
def test_a_device_that_is_not_there_makes_the_model_unavailable_and_no_other_takes_its_place(
        make_node, minilm, devices_of, skillset):
    node = make_node({"identity": IDENTITY, "broken": f'skillset = "{skillset}"\n' + NO_DEVICE}).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        states = {m.name: (m.state, m.reason) for m in client.get_model_repository_index().models}
    there = ", ".join(devices_of(node))
    assert states == {"identity": ("READY", ""),
                      "broken": ("UNAVAILABLE", f"there is no device 'GPU.99'; this machine has: {there}")}


@pytest.fixture
def another_processor(program, tmp_path, monkeypatch):
    """Has the nodes of a test find one more device: OpenVINO's own plug-in for processors, by another name."""
    skillset = program.parent.parent / "lib" / "troupe" / "skillsets" / "text_embedding.so"
    needed = subprocess.run(["ldd", skillset], capture_output=True, text=True, check=True).stdout
    library = pathlib.Path(re.search(r"=> (\S+/libopenvino\.so\S*)", needed)[1])
    plugins = "".join(f'<plugin name="{name}" location="{library.parent}/libopenvino_intel_cpu_plugin.so"/>'
                      for name in ("CPU", "2ND-CPU"))
    (tmp_path / "plugins.xml").write_text(f"<ie><plugins>{plugins}</plugins></ie>")
    shutil.copy(library, tmp_path)  # which looks beside itself for plugins.xml
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:{library.parent}")
    return "2ND-CPU"


def test_what_else_a_runtime_finds_is_a_device_for_its_models_alone(make_node, minilm, devices_of, another_processor):
    place = f'device = "{another_processor}"\non_failure = "unavailable"\n'
    node = make_node({"identity": IDENTITY + place})
    node.write_model("minilm", place + (minilm / "model.toml").read_text(),
                     [file for file in minilm.iterdir() if file.name != "model.toml"])
    devices = devices_of(node.start().wait_ready())
    assert list(devices) == [another_processor, "CPU"]
    found = devices[another_processor]
    assert [runtime["name"] for runtime in found["runtimes"]] == ["OpenVINO"]
    assert (found["cores"], found["instruction_sets"], found["pool"]["threads"]) == (0, [], 1)
    assert [share["name"] for share in found["pool"]["shares"]] == ["minilm"]
    assert node.log.events("model ready", model="minilm", device=another_processor)
    [unavailable] = node.log.events("model unavailable", model="identity")
    assert f"skillset 'identity' finds no device '{another_processor}'" in unavailable["reason"]
    with triton.InferenceServerClient(node.address) as client:
        assert client.infer("minilm", texts("a text")).as_numpy("embedding").shape == (1, 384)
        names = [e.split("?")[0] for e in client.get_server_metadata().extensions if e.startswith("troupe.device/")]
        assert names == [f"troupe.device/{another_processor}", "troupe.device/CPU"]
        [group] = client.get_model_config("minilm").config.instance_group
        assert group.kind == group.KIND_MODEL


def test_people_get_tables(node, troupe, devices_of):
    cpu = devices_of(node)["CPU"]
    done = troupe("--target", node.address, "devices")
    assert (done.returncode, done.stderr) == (0, "")
    pools, properties, shares = (table.splitlines() for table in done.stdout.split("\n\n"))
    assert re.match(r"DEVICE +SLOTS +BUSY +QUEUED +FINISHED +MEMORY +RESERVED$", pools[0])
    assert re.match(rf"CPU +{cpu['pool']['threads']} +0 +0 +\d+ +{cpu['pool']['bytes'] >> 20} MiB +0 MiB$", pools[1])
    assert any(re.match(rf"CPU +cores +{cpu['cores']}$", line) for line in properties)
    assert re.match(r"identity +CPU +1 +1 +0 +0 +\d", shares[1])


def test_a_server_that_is_no_troupe_says_so(troupe):
    other = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    address = "127.0.0.1:%d" % other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        done = troupe("--target", address, "devices")
    finally:
        other.stop(None)
    assert (done.returncode, done.stdout) == (76, "")
    assert f"UNIMPLEMENTED: {address} tells nothing of its devices" in done.stderr
