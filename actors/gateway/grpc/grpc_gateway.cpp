#include "actors/gateway/grpc/grpc_gateway.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/drain.hpp"
#include "actors/gateway/grpc/inference_service.hpp"
#include "actors/gateway/grpc/node_service.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/supervision/supervisor.hpp"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <charconv>
#include <cstdint>
#include <mutex>
#include <optional>

namespace troupe {
namespace {

using changed_atom = caf::atom_constant<caf::atom("changed")>;

/// For streams such as health watches, which end only when they are cut off.
constexpr auto stream_cutoff = std::chrono::milliseconds{50};

struct gateway_state {
  static constexpr const char* name = "grpc";

  ~gateway_state() {
    if (subscription)
      context->routes->unsubscribe(*subscription);
  }

  grpc_settings settings;
  std::shared_ptr<call_context> context = std::make_shared<call_context>();
  std::unique_ptr<inference_service> service;
  std::unique_ptr<node_service> about_node;
  std::unique_ptr<grpc::Server> server;
  std::optional<std::size_t> subscription;
  std::optional<caf::error> exit_reason;
};

using gateway_self = caf::stateful_actor<gateway_state>;

/// What gRPC has to say by itself, as an event like any other.
void log_grpc(gpr_log_func_args* said) {
  const auto level = said->severity == GPR_LOG_SEVERITY_ERROR  ? spdlog::level::warn
                     : said->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::debug;
  log_event(level, "gRPC says", {{"message", said->message}, {"file", said->file}, {"line", said->line}});
}

/// Plugs health and reflection into every server built afterwards, and keeps gRPC's threads until the process ends;
/// gRPC offers both for the whole process only.
void enable_grpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(log_grpc);
    // Never undone: the last user of gRPC to leave joins its threads, of which one sleeps up to ten seconds after a
    // large answer (the backup poller in tcp_posix.cc).
    grpc_init();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

/// True for host:port with a port that exists; gRPC would take 70000 for 4464.
bool is_address(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos)
    return false;
  const auto* end = address.data() + address.size();
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

/// Binds and starts the server; the address it really has, or why there is none.
expected<std::string> listen(gateway_state& state) {
  enable_grpc();
  const auto& address = state.settings.listen;
  state.context->controls_models = state.settings.model_control && state.context->loader;
  state.context->shares_memory = state.settings.shared_memory;
  state.context->most_shared_bytes = static_cast<std::uint64_t>(state.settings.max_message_bytes);
  state.service = std::make_unique<inference_service>(state.context);
  state.about_node = std::make_unique<node_service>(state.context);
  grpc::ServerBuilder builder;
  int port = 0;
  // Without this two nodes could share a port and each get a part of the requests.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(state.settings.max_message_bytes);
  // The only synchronous service is reflection: one thread waits for it, and more only while it is used.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(state.service.get());
  builder.RegisterService(state.about_node.get());
  if (is_address(address))
    state.server = builder.BuildAndStart();
  if (!state.server || port == 0)
    return make_error(status_code::unavailable, "cannot listen on '" + address + "'",
                      "check that it is host:port and that no other program uses the port");
  return address.substr(0, address.rfind(':') + 1) + std::to_string(port);
}

/// Tells the health service what the router says.
void update_health(gateway_state& state) {
  auto* health = state.server ? state.server->GetHealthCheckService() : nullptr;
  if (!health || state.exit_reason)
    return;
  const bool ready = state.context->routes->settled();
  health->SetServingStatus("", ready);
  health->SetServingStatus(inference::GRPCInferenceService::service_full_name(), ready);
  for (const auto& model : state.context->routes->all())
    health->SetServingStatus(model->name(), model->ready());
}

expected<std::string> start(gateway_self* self) {
  auto& state = self->state;
  auto address = listen(state);
  if (!address)
    return address;
  state.subscription = state.context->routes->subscribe([me = caf::actor_cast<caf::actor_addr>(self)] {
    if (const auto gateway = caf::actor_cast<caf::actor>(me))
      caf::anon_send(gateway, changed_atom::value);
  });
  update_health(state);
  log_event(spdlog::level::info, "listening", {{"gateway", "grpc"}, {"address", *address}});
  return address;
}

/// Cuts off what is left and ends the actor.
void close(gateway_self* self) {
  auto& state = self->state;
  state.server->Shutdown(std::chrono::system_clock::now() + stream_cutoff);
  state.server.reset();
  log_event(spdlog::level::info, "closed", {{"gateway", "grpc"}});
  self->quit(*state.exit_reason);
}

/// Answers what is queued now, and tells what runs.
void cut_off(gateway_state& state) {
  const auto why = shutting_down();
  log_event(spdlog::level::warn, "drain ended", {{"gateway", "grpc"}, {"cancelled", state.context->calls.inside()}});
  state.context->scope.cancel(why);
  for (const auto& model : state.context->routes->all())
    model->withdraw_cancelled();
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
  state.server->GetHealthCheckService()->Shutdown();
  state.context->calls.close();
  state.context->closing.cancel(shutting_down());
  log_event(spdlog::level::info, "draining", {{"gateway", "grpc"}, {"calls", state.context->calls.inside()}});
  drain_calls(
      self, state.context->calls, {state.settings.drain, state.settings.grace}, skip_drain,
      [self] { cut_off(self->state); }, [self] { close(self); });
}

caf::behavior grpc_gateway(gateway_self* self, grpc_settings settings, gateway_links links, cancel_token skip_drain,
                           std::function<void(std::string)> on_listening) {
  self->state.settings = std::move(settings);
  self->state.context->routes = std::move(links.routes);
  self->state.context->loader = std::move(links.loader);
  self->state.context->devices = std::move(links.devices);
  self->state.context->metrics = std::move(links.metrics);
  self->state.context->skillsets = std::move(links.skillsets);
  self->set_exit_handler([self, skip_drain](const caf::exit_msg& exit) { on_exit(self, exit.reason, skip_drain); });
  return {
      [self, on_listening](start_atom) -> caf::result<void> {
        const auto address = start(self);
        if (!address)
          return to_caf(address.error());
        on_listening(*address);
        return caf::unit;
      },
      [self](changed_atom) { update_health(self->state); },
  };
}

}  // namespace

caf::actor spawn_grpc_gateway(caf::actor_system& system, grpc_settings settings, gateway_links links,
                              cancel_token skip_drain, std::function<void(std::string)> on_listening) {
  return system.spawn<caf::detached>(grpc_gateway, std::move(settings), std::move(links), std::move(skip_drain),
                                     std::move(on_listening));
}

}  // namespace troupe
