#include "apps/node/node_process.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/concurrency/wait.hpp"
#include "actors/execution/device_actor.hpp"
#include "actors/gateway/grpc/grpc_gateway.hpp"
#include "actors/gateway/http/http_gateway.hpp"
#include "actors/gateway/http/openai/openai_api.hpp"
#include "actors/serving/load_trial.hpp"
#include "actors/serving/model_repository.hpp"
#include "actors/serving/node.hpp"
#include "actors/serving/node_metrics.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "actors/supervision/runtime.hpp"
#include "actors/supervision/supervisor.hpp"
#include "skillsets/identity/identity.hpp"
#include "skillsets/triton_examples/triton_examples.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <utility>

namespace troupe {
namespace {

/// Says what is served and where, and how to try it.
void announce(const node_addresses& where, const router& routes, const std::string& command_line) {
  std::cout << "troupe-node is ready on " << where.grpc << " (gRPC, Open Inference Protocol v2)\n";
  if (!where.http.empty())
    std::cout << "                  and on " << where.http << " (HTTP)\n";
  std::string embedding, echo;
  for (const auto& model : routes.all()) {
    const auto [state, reason] = model->current();
    std::cout << "  " << model->name() << "  version " << model->version() << "  " << model->folder().skills->name()
              << " on " << model->folder().device << "  " << to_string(state) << (reason.empty() ? "" : ": " + reason)
              << "\n";
    if (state != model_state::ready)
      continue;
    if (model->folder().skills->name() == "text_embedding")
      embedding = model->name();
    else if (model->folder().skills->name() == "identity")
      echo = model->name();
  }
  const auto troupe = "  " + command_line + " --target " + where.grpc;
  std::cout << "Try in another terminal:\n" << troupe << " status\n";
  if (!embedding.empty())
    std::cout << troupe << " embed --model " << embedding << " 'A sentence.' 'Another one.'\n";
  if (!echo.empty())
    std::cout << troupe << " infer " << echo << " --input 'input:FP32[2]=[1, 2]'\n";
  std::cout << std::flush;
}

error unwritable(const std::string& file) {
  return make_error(status_code::failed_precondition, "cannot write the ready file '" + file + "'",
                    "name a file in a folder that is there and may be written to");
}

/// Takes away what an earlier node left, and finds out whether the file can be written before anything is started.
expected<void> clear_ready_file(const std::string& file) {
  std::error_code failed;
  std::filesystem::remove(file, failed);
  if (failed || !std::ofstream{file + ".partial"})
    return unwritable(file);
  return {};
}

/// Tells whoever waits for the file where the node is, in one step.
expected<void> write_ready_file(const std::string& file, const node_addresses& where) {
  const auto partial = file + ".partial";
  const auto http = where.http.empty() ? std::string{} : ",\"http\":\"" + where.http + "\"";
  std::error_code failed;
  if (std::ofstream out{partial}; !(out << "{\"grpc\":\"" << where.grpc << "\"" << http << "}\n" << std::flush))
    return unwritable(file);
  std::filesystem::rename(partial, file, failed);
  return failed ? unwritable(file) : expected<void>{};
}

}  // namespace

int fail(const error& e, exit_code code) {
  // In one piece, or a log line of another thread could come between.
  std::cerr << "troupe-node: " + to_string(e) + "\n" << std::flush;
  return code;
}

node_process::node_process(node_config config, std::string ready_file, std::string command_line)
    : config_(std::move(config)),
      ready_file_(std::move(ready_file)),
      command_line_(std::move(command_line)),
      routes_(std::make_shared<router>()),
      loader_(std::make_shared<model_repository>()),
      devices_(std::make_shared<device_table>()),
      metrics_(std::make_shared<node_metrics>(routes_, devices_)),
      http_counts_(std::make_shared<http_metrics>()) {
  if (!config_.http.listen.empty())
    metrics_->add(http_counts_->registry());
}

node_process::~node_process() = default;

int node_process::run() {
  runtime all;
  const std::stop_callback first{all.token().stop(), [this] { post([this] { on_signal(); }); }};
  all.cancel_on_signals([this](int) { post([this] { on_signal(); }); });
  auto folders = config_.skillsets;
  for (const auto& folder : folders)
    if (std::error_code failed; !std::filesystem::is_directory(folder, failed))
      log_event(spdlog::level::warn, "there is no folder of skillsets", {{"folder", folder.string()}});
  folders.push_back(skillset_folder());
  const auto catalog = std::make_shared<skillset_catalog>(std::move(folders), host_program());
  catalog->add(make_identity_skillset());
  catalog->add(make_triton_examples_skillset());
  auto models = read_model_repository(config_.models, *catalog, all.token());
  if (all.token().cancelled())
    return log_stopped();
  if (!models)
    return fail(models.error(), models.error().code == status_code::not_found ? exit_missing : exit_configuration);
  if (!ready_file_.empty())
    if (const auto writable = clear_ready_file(ready_file_); !writable)
      return fail(writable.error(), exit_usage);
  try {
    start(all.system(), *std::move(models), catalog);
    handle_events();
  } catch (const std::exception& e) {
    // The actors still run, and the system would wait for them for ever.
    std::_Exit(fail(make_error(status_code::internal, e.what()), exit_internal));
  }
  log_stopped();
  // Work that ignores its cancellation holds a pool thread; nothing in this process can end it but the exit.
  if (stuck_)
    std::_Exit(code_);
  return code_;
}

/// The exit code.
int node_process::log_stopped() const {
  log_event(spdlog::level::info, "node stopped", {{"exit_code", code_}});
  return code_;
}

/// Has the main thread do something soon.
void node_process::post(std::function<void()> event) {
  (void)events_.sender.try_send(std::move(event));
}

void node_process::handle_events() {
  while (!ended_)
    if (const auto event = wait(events_.receiver.receive(), patience_.token()))
      (*event)();
    else
      on_stuck();
}

void node_process::start(caf::actor_system& system, std::vector<model_folder> models,
                         std::shared_ptr<skillset_catalog> catalog) {
  node_parts parts;
  parts.devices = probe_devices(catalog->devices());
  if (config_.cpu_slots)
    parts.devices.front().slots = *config_.cpu_slots;
  parts.models = std::move(models);
  parts.context = {devices_, routes_, [this](const error& e) { post([this, e] { on_failed(e); }); },
                   metrics_->on_report()};
  catalog_ = catalog;
  parts.context.trial = std::make_shared<load_trial>(catalog);
  parts.repository = {config_.models, std::move(catalog), config_.grpc.drain};
  parts.loader = loader_;
  parts.gateways.push_back({"grpc", [this](caf::actor_system& sys) { return spawn_grpc(sys); }, restart_type::permanent,
                            std::chrono::milliseconds::max()});
  if (!config_.http.listen.empty())
    parts.gateways.push_back({"http", [this](caf::actor_system& sys) { return spawn_http(sys); },
                              restart_type::permanent, std::chrono::milliseconds::max()});
  subscription_ = routes_->subscribe([this] { post([this] { on_change(); }); });
  root_ = spawn_node(system, std::move(parts));
  watcher_ = system.spawn([this](caf::event_based_actor* self) {
    self->monitor(root_);
    self->set_down_handler(
        [this](const caf::down_msg& down) { post([this, reason = from_caf(down.reason)] { on_down(reason); }); });
    self->request(root_, caf::infinite, start_atom::value)
        .then([this] { post([this] { on_started(); }); },
              [](const caf::error&) { /* the root ends with this error: see the down handler */ });
    self->become([](start_atom) {});
  });
}

caf::actor node_process::spawn_grpc(caf::actor_system& system) {
  const gateway_links links{routes_, loader_, devices_, metrics_, catalog_};
  return spawn_grpc_gateway(system, config_.grpc, links, skip_drain_.token(), [this](std::string address) {
    post([this, address = std::move(address)] { addresses_.grpc = address; });
  });
}

caf::actor node_process::spawn_http(caf::actor_system& system) {
  route_table routes;
  add_openai_api(routes, routes_);
  return spawn_http_gateway(
      system, config_.http, std::move(routes), http_counts_, skip_drain_.token(),
      [this](std::string address) { post([this, address = std::move(address)] { addresses_.http = address; }); });
}

void node_process::on_started() {
  started_ = true;
  on_change();
}

/// Announces the node once, when it has started and has no model left to wait for.
void node_process::on_change() {
  if (!started_ || announced_ || stopping_ || !routes_->settled())
    return;
  announced_ = true;
  announce(addresses_, *routes_, command_line_);
  log_event(spdlog::level::info, "node ready", {{"address", addresses_.grpc}, {"http", addresses_.http}});
  if (!ready_file_.empty())
    if (const auto written = write_ready_file(ready_file_, addresses_); !written)
      on_failed(written.error());
}

void node_process::on_signal() {
  if (stopping_)
    skip_drain(make_error(status_code::unavailable, "asked to stop a second time"));
  else
    stop();
}

/// A model that the node can't be without failed.
void node_process::on_failed(const error& e) {
  if (stopping_)
    return;
  code_ = fail(e, exit_code_of(e.code));
  stop();
  skip_drain(e);
}

void node_process::skip_drain(const error& why) {
  if (skip_drain_.cancel(why))
    bound_stop({});
}

void node_process::stop() {
  stopping_ = true;
  // The gateways stop one after the other, and share the time for it.
  skip_drain_.set_deadline(after(config_.grpc.drain, skip_drain_.token()));
  caf::anon_send_exit(root_, caf::exit_reason::user_shutdown);
  bound_stop(config_.grpc.drain);
}

/// Gives the parts of the node as long as they may take; then the process ends without those that won't end.
void node_process::bound_stop(std::chrono::milliseconds drain) {
  patience_.set_deadline(after(drain + 3 * config_.grpc.grace + std::chrono::seconds{1}, {}));
}

void node_process::on_stuck() {
  log_event(spdlog::level::critical, "work ignores its cancellation; the node ends without it");
  stuck_ = true;
  code_ = exit_internal;
  ended_ = true;
}

void node_process::on_down(const error& reason) {
  if (!stopping_)
    code_ = fail(reason, exit_code_of(reason.code));
  routes_->unsubscribe(subscription_);
  root_ = nullptr;
  caf::anon_send_exit(std::exchange(watcher_, nullptr), caf::exit_reason::user_shutdown);
  ended_ = true;
}

}  // namespace troupe
