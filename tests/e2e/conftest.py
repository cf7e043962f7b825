"""Where the node is, and nodes to share."""

import pathlib
import subprocess

import pytest
import tritonclient.grpc as triton

from messages import stub_of
from node import PATIENCE, Node

IDENTITY = 'skillset = "identity"\n'


def pytest_addoption(parser):
    parser.addoption("--build", type=pathlib.Path, required=True, help="the build folder with bin/troupe-node")
    parser.addoption("--sanitized", action="store_true", help="the build is one with sanitizers")
    parser.addoption("--minilm", type=pathlib.Path, help="the folder of the demo model that embeds texts, and its files")
    parser.addoption("--smollm2", type=pathlib.Path, help="the folder of the one that generates text")


@pytest.fixture(scope="session")
def program(request):
    return request.config.getoption("build").resolve() / "bin" / "troupe-node"


@pytest.fixture(scope="session")
def sanitized(request):
    """Whether what the node's memory does is a sanitizer's doing, which keeps what was freed and shadows the rest."""
    return request.config.getoption("sanitized")


@pytest.fixture(scope="session")
def troupe(program):
    """Runs troupe with arguments; the completed process with its text."""

    def run(*arguments, **options):
        return subprocess.run([program.with_name("troupe"), *arguments], capture_output=True, text=True,
                              timeout=PATIENCE, **options)

    return run


@pytest.fixture(scope="session")
def minilm(request):
    folder = request.config.getoption("minilm")
    if folder is None:
        pytest.skip("the demo model is not there")
    return folder.resolve()


@pytest.fixture(scope="session")
def smollm2(request):
    folder = request.config.getoption("smollm2")
    if folder is None:
        pytest.skip("the demo model that generates text is not there")
    return folder.resolve()


@pytest.fixture
def make_node(program):
    """Makes nodes that are not started yet; none outlives its test."""
    nodes = []

    def make(models=None, **settings):
        nodes.append(Node(program, {"identity": IDENTITY} if models is None else models, **settings))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture(scope="module")
def node(program, request):
    """A node with an identity model that a module shares; it must be well at the end, whatever the tests sent it."""
    models = getattr(request.module, "MODELS", {"identity": IDENTITY})
    with Node(program, models, **getattr(request.module, "SETTINGS", {})) as shared:
        shared.start().wait_ready()
        yield shared
        assert shared.stop() == 0


@pytest.fixture
def client(node):
    """tritonclient, connected to the shared node."""
    with triton.InferenceServerClient(node.address) as connected:
        yield connected


@pytest.fixture
def stub(node):
    with stub_of(node.address) as connected:
        yield connected
