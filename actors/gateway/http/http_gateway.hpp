#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/http/http_metrics.hpp"
#include "actors/gateway/http/http_settings.hpp"
#include "actors/gateway/http/route_table.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <string>

namespace troupe {

/// Spawns the actor that speaks HTTP/1.1 (RFC 9112), and HTTP/1.0: what is asked of it the handlers of `routes` answer.
/// It has started once the port is bound, and then calls `on_listening` with the address; UNAVAILABLE when it can't be
/// bound, and otherwise as `check`. Stopped, it accepts nobody any more, ends connections without a request, lets those
/// under way finish for `drain`, or until `skip_drain` is cancelled, and cancels the rest with UNAVAILABLE, for which
/// it waits as long as `grace`; handlers that still wait then are dropped. All times are by the clock of `skip_drain`.
/// The server has threads of its own, and the actor one, because it joins them.
caf::actor spawn_http_gateway(caf::actor_system& system, http_settings settings, route_table routes,
                              std::shared_ptr<http_metrics> counts, cancel_token skip_drain,
                              std::function<void(std::string)> on_listening);

}  // namespace troupe
