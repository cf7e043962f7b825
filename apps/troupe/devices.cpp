#include "apps/troupe/devices.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "troupe/node/v1/node.pb.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = node::v1;
using json = nlohmann::ordered_json;
using words = google::protobuf::RepeatedPtrField<std::string>;
using table = std::vector<std::vector<std::string>>;

std::string to_text(const words& list) {
  return one_line(join({list.begin(), list.end()}, " "));
}

/// `1536 MiB`; nothing for what is not known.
std::string to_mebibytes(std::uint64_t bytes) {
  return bytes == 0 ? "" : std::to_string(bytes >> 20) + " MiB";
}

std::string to_text(double value) {
  std::string text;
  append_short_number(text, value);
  return text;
}

/// What a device is and can do, a line for each of its properties that is known.
void add_properties(const wire::Device& device, table& rows) {
  const auto add = [&](const std::string& key, std::string value) {
    if (!value.empty())
      rows.push_back({one_line(device.name()), key, std::move(value)});
  };
  add("name", one_line(device.full_name()));
  add("cores", device.cores() == 0 ? "" : std::to_string(device.cores()));
  add("instruction sets", to_text(device.instruction_sets()));
  for (const auto& runtime : device.runtimes())
    add(one_line(runtime.name() + " " + runtime.version()), to_text(runtime.capabilities()));
}

void add_pool(const wire::Device& device, table& rows) {
  const auto& pool = device.pool();
  rows.push_back({one_line(device.name()), std::to_string(pool.threads()), std::to_string(pool.busy()),
                  std::to_string(pool.queued()), std::to_string(pool.finished()), to_mebibytes(pool.bytes()),
                  std::to_string(pool.reserved_bytes() >> 20) + " MiB"});
}

void add_shares(const wire::Device& device, table& rows) {
  for (const auto& share : device.pool().shares())
    rows.push_back({one_line(share.name()), one_line(device.name()), to_text(share.weight()),
                    std::to_string(share.threads()), std::to_string(share.running()), std::to_string(share.queued()),
                    to_text(std::round(share.seconds() * 1000) / 1000)});
}

std::string to_text(const wire::DevicesResponse& found) {
  table pools{{"DEVICE", "SLOTS", "BUSY", "QUEUED", "FINISHED", "MEMORY", "RESERVED"}};
  table properties{{"DEVICE", "PROPERTY", "VALUE"}};
  table shares{{"SHARE", "DEVICE", "WEIGHT", "THREADS", "RUNNING", "QUEUED", "SECONDS"}};
  for (const auto& device : found.devices()) {
    add_pool(device, pools);
    add_properties(device, properties);
    add_shares(device, shares);
  }
  auto text = format_table(pools);
  for (const auto* more : {&properties, &shares})
    if (more->size() > 1)
      text += "\n" + format_table(*more);
  return text;
}

json list_of(const words& list) {
  return std::vector<std::string>{list.begin(), list.end()};
}

json to_json(const wire::Pool& pool) {
  json result{{"threads", pool.threads()},   {"busy", pool.busy()},   {"queued", pool.queued()},
              {"finished", pool.finished()}, {"bytes", pool.bytes()}, {"reserved_bytes", pool.reserved_bytes()},
              {"shares", json::array()}};
  for (const auto& share : pool.shares())
    result["shares"].push_back({{"name", share.name()},
                                {"weight", share.weight()},
                                {"threads", share.threads()},
                                {"running", share.running()},
                                {"queued", share.queued()},
                                {"seconds", share.seconds()}});
  return result;
}

json to_json(const wire::Device& device) {
  json result{{"name", device.name()},     {"full_name", device.full_name()},
              {"cores", device.cores()},   {"instruction_sets", list_of(device.instruction_sets())},
              {"runtimes", json::array()}, {"pool", to_json(device.pool())}};
  for (const auto& runtime : device.runtimes())
    result["runtimes"].push_back({{"name", runtime.name()},
                                  {"version", runtime.version()},
                                  {"full_name", runtime.full_name()},
                                  {"capabilities", list_of(runtime.capabilities())}});
  return result;
}

std::string to_json(const wire::DevicesResponse& found) {
  json document{{"devices", json::array()}};
  for (const auto& device : found.devices())
    document["devices"].push_back(to_json(device));
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

expected<void> devices(session& with) {
  const auto found = with.node.devices();
  if (!found)
    return found.error();
  with.out.print(with.json ? to_json(*found) : to_text(*found));
  return {};
}

}  // namespace troupe::cli
