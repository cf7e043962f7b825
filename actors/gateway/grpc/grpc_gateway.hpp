#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/gateway_links.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace troupe {

/// How the gRPC gateway listens and how it ends.
struct grpc_settings {
  std::string listen = "127.0.0.1:8001";                       ///< host:port; port 0 picks a free one
  int max_message_bytes = 64 << 20;                            ///< of a request; more is RESOURCE_EXHAUSTED
  bool model_control = true;                                   ///< whether clients may load and unload models
  bool shared_memory = false;                                  ///< whether clients may register theirs
  std::chrono::milliseconds drain = std::chrono::seconds{10};  ///< for what runs when the gateway is stopped
  std::chrono::milliseconds grace = std::chrono::seconds{2};   ///< for what was cancelled after that
};

/// Spawns the actor that speaks gRPC: the Open Inference Protocol, what the node tells of itself (troupe.node.v1),
/// health (per model, too) and reflection. It has started once the port is bound, and then calls `on_listening` with
/// the address; UNAVAILABLE when it can't be bound. Stopped, it refuses new calls, lets those under way finish for
/// `drain`, or until `skip_drain` is cancelled, and cancels the rest with UNAVAILABLE, for which it waits as long as
/// `grace`; both by the clock of `skip_drain`. The actor has a thread of its own, because gRPC blocks to start and to
/// stop.
caf::actor spawn_grpc_gateway(caf::actor_system& system, grpc_settings settings, gateway_links links,
                              cancel_token skip_drain, std::function<void(std::string)> on_listening);

}  // namespace troupe
