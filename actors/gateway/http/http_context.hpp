#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/gate.hpp"
#include "actors/gateway/http/api_keys.hpp"
#include "actors/gateway/http/cors.hpp"
#include "actors/gateway/http/http_metrics.hpp"
#include "actors/gateway/http/http_settings.hpp"
#include "actors/gateway/http/route_table.hpp"
#include "actors/gateway/http/tls_files.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace troupe {

/// What the connections of one server share.
struct http_context {
  http_context(http_settings how, route_table what, std::shared_ptr<http_metrics> to, clock& by)
      : settings(std::move(how)),
        routes(std::move(what)),
        cors(settings.cors_origins),
        counts(std::move(to)),
        time(by),
        scope(scope_options{.clock = &by}) {}

  const http_settings settings;
  const route_table routes;
  const cors_policy cors;
  const std::shared_ptr<http_metrics> counts;
  clock& time;
  std::unique_ptr<api_keys> keys;  ///< null: anybody may ask
  std::unique_ptr<tls_files> tls;  ///< null: plain
  gate exchanges;                  ///< requests that are worked on; closed: the server is stopping
  cancel_scope scope;              ///< of all of them
  std::atomic<std::size_t> connections = 0;
  std::atomic<std::size_t> body_bytes = 0;  ///< of all requests that are being received, or worked on
};

}  // namespace troupe
