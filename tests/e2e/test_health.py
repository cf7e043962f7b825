"""grpc.health.v1 as load balancers and orchestrators use it, by its own client."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from messages import slow_request, stub_of
from node import PATIENCE

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICES = ["", "inference.GRPCInferenceService", "identity"]

BROKEN = 'skillset = "identity"\ndevice = "NPU-7"\non_failure = "unavailable"\n'


@pytest.fixture
def health(node):
    with grpc.insecure_channel(node.address) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def asked(service):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", SERVICES)
def test_check_says_serving(health, service):
    assert health.Check(asked(service)).status == SERVING


def test_check_does_not_know_others(health):
    with pytest.raises(grpc.RpcError) as failure:
        health.Check(asked("nothing"))
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND


def test_watch_tells_at_once_what_is_so_now(health):
    for service, status in [*((s, SERVING) for s in SERVICES), ("nothing", SERVICE_UNKNOWN)]:
        watch = health.Watch(asked(service), timeout=PATIENCE)
        assert next(watch).status == status
        watch.cancel()


def test_a_model_that_failed_is_not_serving_while_the_node_is(make_node):
    node = make_node({"identity": 'skillset = "identity"\n', "broken": BROKEN}).start().wait_ready()
    with grpc.insecure_channel(node.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(asked("broken")).status == NOT_SERVING
        assert health.Check(asked("")).status == SERVING
        assert health.Check(asked("identity")).status == SERVING


def test_a_watch_sees_not_serving_before_the_node_is_gone(make_node):
    node = make_node(log_level="trace").start().wait_ready()
    with grpc.insecure_channel(node.address) as channel, stub_of(node.address) as stub:
        watches = [health_pb2_grpc.HealthStub(channel).Watch(asked(s), timeout=PATIENCE) for s in SERVICES]
        assert [next(watch).status for watch in watches] == [SERVING] * 3
        # Something to drain, so that there is a while between the signal and the end.
        work = stub.ModelInfer.future(slow_request(1000))
        node.log.wait_for("executing")
        node.signal()
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 3
        assert work.result(PATIENCE).model_name == "identity"
        assert node.wait() == 0


def test_an_open_watch_does_not_keep_the_node_from_stopping(make_node):
    node = make_node(drain="600s").start().wait_ready()
    with grpc.insecure_channel(node.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(asked(""), timeout=PATIENCE)
        assert next(watch).status == SERVING
        assert node.stop() == 0
