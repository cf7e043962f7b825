#include "actors/gateway/grpc/device_messages.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"

#include "troupe/node/v1/node.pb.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace troupe {
namespace {

void describe_runtime(const runtime_device& found, node::v1::Runtime& to) {
  to.set_name(found.runtime);
  to.set_version(found.version);
  to.set_full_name(found.full_name);
  to.mutable_capabilities()->Add(found.capabilities.begin(), found.capabilities.end());
}

void describe_share(const executor_pool::share_statistics& share, node::v1::Share& to) {
  to.set_name(share.name);
  to.set_weight(share.weight);
  to.set_threads(share.threads);
  to.set_running(share.running);
  to.set_queued(share.queued);
  to.set_seconds(share.seconds);
}

void describe_pool(const executor_pool& pool, node::v1::Pool& to) {
  const auto now = pool.stats();
  to.set_threads(now.threads);
  to.set_busy(now.busy);
  to.set_queued(now.queued);
  to.set_finished(now.finished);
  to.set_bytes(now.bytes);
  to.set_reserved_bytes(now.reserved_bytes);
  for (const auto& share : pool.share_stats())
    describe_share(share, *to.add_shares());
}

/// `key=value`, after what is there already.
void append(std::string& query, std::string_view key, const std::string& value) {
  if (!value.empty())
    query.append(query.empty() ? "?" : "&").append(key).append("=").append(value);
}

void append(std::string& query, std::string_view key, std::uint64_t value) {
  append(query, key, value == 0 ? "" : std::to_string(value));
}

void append(std::string& query, std::string_view key, const std::vector<std::string>& words) {
  std::string list;
  for (const auto& word : words)
    list += (list.empty() ? "" : ",") + word;
  append(query, key, list);
}

/// Those of all runtimes, each once.
std::vector<std::string> capabilities_of(const device& what) {
  std::vector<std::string> result;
  for (const auto& found : what.runtimes)
    for (const auto& word : found.capabilities)
      if (std::find(result.begin(), result.end(), word) == result.end())
        result.push_back(word);
  return result;
}

}  // namespace

void describe_device(const running_device& running, node::v1::Device& to) {
  to.set_name(running.what.name);
  to.set_full_name(running.what.full_name);
  to.set_cores(running.what.cores);
  to.mutable_instruction_sets()->Add(running.what.instruction_sets.begin(), running.what.instruction_sets.end());
  for (const auto& found : running.what.runtimes)
    describe_runtime(found, *to.add_runtimes());
  describe_pool(*running.pool, *to.mutable_pool());
}

std::string device_extension(const running_device& running) {
  std::string query;
  append(query, "slots", running.what.slots);
  append(query, "cores", running.what.cores);
  append(query, "bytes", running.what.bytes);
  append(query, "instruction_sets", running.what.instruction_sets);
  append(query, "capabilities", capabilities_of(running.what));
  return "troupe.device/" + running.what.name + query;
}

}  // namespace troupe
