#include "actors/gateway/http/http_gateway.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/drain.hpp"
#include "actors/gateway/http/http_context.hpp"
#include "actors/gateway/http/http_server.hpp"
#include "actors/gateway/shutting_down.hpp"
#include "actors/supervision/supervisor.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace troupe {
namespace {

struct gateway_state {
  static constexpr const char* name = "http";

  std::shared_ptr<http_context> context;
  std::unique_ptr<http_server> server;
  std::optional<caf::error> exit_reason;
};

using gateway_self = caf::stateful_actor<gateway_state>;

/// What the settings say of TLS; null where that is nothing.
expected<std::unique_ptr<tls_files>> read_tls(const http_settings& settings, clock& by) {
  if (settings.tls_certificate.empty() != settings.tls_key.empty())
    return make_error(status_code::invalid_argument, "tls_certificate and tls_key go together, and one is missing",
                      "give both, or neither");
  if (settings.tls_key.empty())
    return std::unique_ptr<tls_files>{};
  return tls_files::read(settings.tls_certificate, settings.tls_key, by);
}

/// Fills in what has to be read.
expected<void> prepare(http_context& context) {
  if (const auto right = check(context.settings); !right)
    return right;
  auto tls = read_tls(context.settings, context.time);
  if (!tls)
    return tls.error();
  context.tls = *std::move(tls);
  if (const auto& file = context.settings.api_keys; !file.empty()) {
    auto keys = read_api_keys(file);
    if (!keys)
      return keys.error();
    context.keys = std::make_unique<api_keys>(file, *std::move(keys), context.time);
  }
  return {};
}

expected<std::string> start(gateway_state& state) {
  if (const auto ready = prepare(*state.context); !ready)
    return ready.error();
  auto server = http_server::start(state.context);
  if (!server)
    return server.error();
  state.server = *std::move(server);
  log_event(spdlog::level::info, "listening",
            {{"gateway", "http"},
             {"address", state.server->address()},
             {"tls", state.context->tls ? "yes" : "no"},
             {"api_keys", state.context->keys ? "yes" : "no"}});
  return state.server->address();
}

void close(gateway_self* self) {
  self->state.server.reset();
  log_event(spdlog::level::info, "closed", {{"gateway", "http"}});
  self->quit(*self->state.exit_reason);
}

void cut_off(http_context& context) {
  log_event(spdlog::level::warn, "drain ended", {{"gateway", "http"}, {"cancelled", context.exchanges.inside()}});
  context.scope.cancel(shutting_down());
}

void on_exit(gateway_self* self, const caf::error& reason, const cancel_token& skip_drain) {
  auto& state = self->state;
  if (state.exit_reason)
    return;
  state.exit_reason = reason;
  if (!state.server) {
    self->quit(reason);
    return;
  }
  state.context->exchanges.close();
  state.server->drain();
  log_event(spdlog::level::info, "draining", {{"gateway", "http"}, {"calls", state.context->exchanges.inside()}});
  const auto& settings = state.context->settings;
  drain_calls(
      self, state.context->exchanges, {settings.drain, settings.grace}, skip_drain,
      [self] { cut_off(*self->state.context); }, [self] { close(self); });
}

caf::behavior http_gateway(gateway_self* self, std::shared_ptr<http_context> context, cancel_token skip_drain,
                           std::function<void(std::string)> on_listening) {
  self->state.context = std::move(context);
  self->set_exit_handler([self, skip_drain](const caf::exit_msg& exit) { on_exit(self, exit.reason, skip_drain); });
  return {
      [self, on_listening](start_atom) -> caf::result<void> {
        const auto address = start(self->state);
        if (!address)
          return to_caf(address.error());
        on_listening(*address);
        return caf::unit;
      },
  };
}

}  // namespace

expected<void> check(const http_settings& settings) {
  if (const auto tls = read_tls(settings, real_clock()); !tls)
    return tls.error();
  if (!settings.api_keys.empty()) {
    const auto keys = read_api_keys(settings.api_keys);
    return keys ? expected<void>{} : keys.error();
  }
  const auto address = resolve_listen(settings.listen);
  if (address && !address->address().is_loopback() && !settings.insecure)
    return make_error(status_code::invalid_argument,
                      "'" + settings.listen + "' is beyond loopback, and whoever reaches it may ask",
                      "set api_keys, or insecure = true where the network keeps others out");
  return {};
}

caf::actor spawn_http_gateway(caf::actor_system& system, http_settings settings, route_table routes,
                              std::shared_ptr<http_metrics> counts, cancel_token skip_drain,
                              std::function<void(std::string)> on_listening) {
  auto context =
      std::make_shared<http_context>(std::move(settings), std::move(routes), std::move(counts), skip_drain.clock());
  return system.spawn<caf::detached>(http_gateway, std::move(context), std::move(skip_drain), std::move(on_listening));
}

}  // namespace troupe
