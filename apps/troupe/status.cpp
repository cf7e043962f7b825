#include "apps/troupe/status.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/metrics.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "inference/grpc_service.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <optional>
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
  std::optional<node::v1::MetricsResponse> metrics;  ///< of a Troupe node; other servers have none
};

/// What `status` shows of a model's counts: a title, the metric, and what labels it has besides the model.
struct shown_count {
  const char* title;
  const char* family;
  std::map<std::string, std::string> labels = {};
  const char* by = "model";  ///< the label that has the model's name
};

const std::vector<shown_count> shown_counts{
    {"queued", "troupe_queue_requests"},
    {"running", "troupe_share_running_jobs"},
    {"answered", "troupe_request_seconds", {{"outcome", "success"}}},
    {"failed", "troupe_request_seconds", {{"outcome", "fail"}}},
    {"cancelled", "troupe_requests_cancelled_total"},
    {"refused", "troupe_queue_refused_total"},
    {"expired", "troupe_queue_expired_total"},
    {"batches", "troupe_batch_items"},
    {"restarts", "troupe_child_restarts_total", {}, "supervisor"},
};

std::uint64_t count_of(const node::v1::MetricsResponse& metrics, const std::string& model, const shown_count& what) {
  auto labels = what.labels;
  labels[what.by] = model;
  return static_cast<std::uint64_t>(value_of(metrics, what.family, labels));
}

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
  auto metrics = node.metrics();
  if (!metrics && metrics.error().code != status_code::unimplemented)
    return metrics.error();
  return node_status{*std::move(server), *ready, *std::move(index),
                     metrics ? std::optional{*std::move(metrics)} : std::nullopt};
}

std::string counts_to_text(const node_status& status) {
  if (!status.metrics || status.index.models().empty())
    return {};
  std::vector<std::vector<std::string>> rows{{"MODEL"}};
  for (const auto& what : shown_counts) {
    rows[0].push_back(what.title);
    std::transform(rows[0].back().begin(), rows[0].back().end(), rows[0].back().begin(), ::toupper);
  }
  for (const auto& model : status.index.models()) {
    rows.push_back({one_line(model.name())});
    for (const auto& what : shown_counts)
      rows.back().push_back(std::to_string(count_of(*status.metrics, model.name(), what)));
  }
  return "\n" + format_table(rows);
}

std::string to_text(const std::string& target, const node_status& status) {
  std::vector<std::vector<std::string>> rows{{"node", one_line(target)},
                                             {"server", one_line(status.server.name() + " " + status.server.version())},
                                             {"ready", status.ready ? "yes" : "no"}};
  for (const auto& model : status.index.models())
    rows.push_back({"model", one_line(model.name() + " " + model.state() +
                                      (model.reason().empty() ? "" : ": " + model.reason()))});
  return format_table(rows) + counts_to_text(status);
}

std::string to_json(const std::string& target, const node_status& status) {
  json document{{"node", target},
                {"server", status.server.name()},
                {"version", status.server.version()},
                {"ready", status.ready},
                {"models", json::array()}};
  for (const auto& model : status.index.models()) {
    json entry{{"name", model.name()}, {"state", model.state()}, {"reason", model.reason()}};
    for (const auto& what : shown_counts)
      if (status.metrics)
        entry["counts"][what.title] = count_of(*status.metrics, model.name(), what);
    document["models"].push_back(std::move(entry));
  }
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
