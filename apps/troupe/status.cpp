#include "apps/troupe/status.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "inference/grpc_service.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = inference;
using json = nlohmann::ordered_json;
using seconds = std::chrono::duration<double>;

constexpr seconds between_questions{0.1};

/// Whether the node is ready, asked again until it is or `wait` is over; the last answer, or why there was none.
expected<bool> ask_ready(client& node, seconds wait) {
  constexpr seconds longest{std::chrono::hours{24 * 365}};  // what is longer would overflow into the past
  const auto end = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(std::min(wait, longest));
  for (;;) {
    auto ready = node.ready();
    const bool may_change = ready ? !*ready : ready.error().code == status_code::unavailable;
    if (!may_change || steady_clock::now() >= end || !node.pause(between_questions))
      return ready;
  }
}

struct node_status {
  wire::ServerMetadataResponse server;
  bool ready = false;
  wire::RepositoryIndexResponse index;
};

expected<node_status> ask(client& node, seconds wait) {
  const auto ready = ask_ready(node, wait);
  if (!ready)
    return ready.error();
  auto server = node.server();
  if (!server)
    return server.error();
  auto index = node.index();
  if (!index)
    return index.error();
  return node_status{*std::move(server), *ready, *std::move(index)};
}

std::string to_text(const std::string& target, const node_status& status) {
  std::vector<std::vector<std::string>> rows{{"node", one_line(target)},
                                             {"server", one_line(status.server.name() + " " + status.server.version())},
                                             {"ready", status.ready ? "yes" : "no"}};
  for (const auto& model : status.index.models())
    rows.push_back({"model", one_line(model.name() + " " + model.state() +
                                      (model.reason().empty() ? "" : ": " + model.reason()))});
  return format_table(rows);
}

std::string to_json(const std::string& target, const node_status& status) {
  json document{{"node", target},
                {"server", status.server.name()},
                {"version", status.server.version()},
                {"ready", status.ready},
                {"models", json::array()}};
  for (const auto& model : status.index.models())
    document["models"].push_back({{"name", model.name()}, {"state", model.state()}, {"reason", model.reason()}});
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

expected<void> status(session& with, seconds wait) {
  const auto found = ask(with.node, wait);
  if (!found)
    return found.error();
  with.out.print(with.json ? to_json(with.node.target(), *found) : to_text(with.node.target(), *found));
  if (!found->ready)
    return make_error(status_code::unavailable, "the node is not ready", "wait for it with --wait SECONDS");
  return {};
}

}  // namespace troupe::cli
