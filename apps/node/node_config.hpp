#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/gateway/grpc/grpc_gateway.hpp"
#include "actors/gateway/http/http_settings.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe {

/// The settings of a node, as its file gives them.
struct node_config {
  grpc_settings grpc;
  http_settings http;  ///< without a gateway where `listen` is empty
  std::filesystem::path models;
  std::vector<std::filesystem::path> skillsets;  ///< folders to look into before the node's own
  std::optional<std::size_t> cpu_slots;          ///< nothing: as the probe found
  spdlog::level::level_enum log_level = spdlog::level::info;
  log_format format = log_format::text;
};

/// The level that `name` stands for, such as `info`; nothing for an unknown name.
std::optional<spdlog::level::level_enum> parse_log_level(const std::string& name);

/// Reads `file`, or the built-in settings with paths relative to `share` when it is empty. Errors name file, line and
/// key.
expected<node_config> read_node_config(const std::filesystem::path& file, const std::filesystem::path& share);

/// Where an installed or built program keeps what belongs to it: `../share/troupe` and `../lib/troupe/skillsets` of
/// the folder that the running program is in.
std::filesystem::path share_folder();
std::filesystem::path skillset_folder();

/// The program for host processes, which stands beside this one.
std::filesystem::path host_program();

}  // namespace troupe
