#include "apps/node/node_config.hpp"

#include "actors/serving/settings_reader.hpp"
#include "default_config.hpp"

namespace troupe {
namespace {

const std::vector<std::string> level_names{"trace", "debug", "info", "warning", "error", "off"};

std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

void read_grpc(settings_reader& reader, grpc_settings& to) {
  auto grpc = reader.table("grpc");
  to.listen = grpc.text("listen").value_or(to.listen);
  if (const auto mib = grpc.integer("max_message_mib", 1, 2047))
    to.max_message_bytes = static_cast<int>(*mib << 20);
  to.model_control = grpc.flag("model_control").value_or(to.model_control);
  to.shared_memory = grpc.flag("shared_memory").value_or(to.shared_memory);
  auto shutdown = reader.table("shutdown");
  to.drain = shutdown.milliseconds("drain").value_or(to.drain);
  to.grace = shutdown.milliseconds("grace").value_or(to.grace);
}

void read_http_limits(settings_reader& http, http_limits& to) {
  constexpr std::int64_t most_mib = 1 << 20;
  if (const auto kib = http.integer("max_header_kib", 1, 1024))
    to.header_bytes = static_cast<std::size_t>(*kib) << 10;
  if (const auto mib = http.integer("max_body_mib", 1, most_mib))
    to.body_bytes = static_cast<std::size_t>(*mib) << 20;
  if (const auto mib = http.integer("max_bodies_mib", 1, most_mib))
    to.bodies_bytes = static_cast<std::size_t>(*mib) << 20;
  if (const auto most = http.integer("max_connections", 1, 1 << 20))
    to.connections = static_cast<std::size_t>(*most);
  to.header_time = http.milliseconds("header_timeout").value_or(to.header_time);
  to.body_time = http.milliseconds("body_timeout").value_or(to.body_time);
  to.write_time = http.milliseconds("write_timeout").value_or(to.write_time);
  to.idle_time = http.milliseconds("idle_timeout").value_or(to.idle_time);
}

/// Files are relative to `base`.
void read_http(settings_reader& reader, const std::filesystem::path& base, http_settings& to) {
  auto http = reader.table("http");
  const auto file = [&](const char* key) {
    const auto name = http.text(key).value_or("");
    return name.empty() ? std::filesystem::path{} : (base / name).lexically_normal();
  };
  to.listen = http.text("listen").value_or(to.listen);
  read_http_limits(http, to.limits);
  if (const auto threads = http.integer("threads", 1, 64))
    to.threads = static_cast<std::size_t>(*threads);
  to.cors_origins = http.texts("cors_origins").value_or(to.cors_origins);
  to.tls_certificate = file("tls_certificate");
  to.tls_key = file("tls_key");
  to.api_keys = file("api_keys");
  to.insecure = http.flag("insecure").value_or(to.insecure);
}

void read_log(settings_reader& reader, node_config& to) {
  auto log = reader.table("log");
  if (const auto level = log.choice("level", level_names))
    to.log_level = *parse_log_level(*level);
  if (log.choice("format", {"text", "json"}) == "json")
    to.format = log_format::json;
}

}  // namespace

std::optional<spdlog::level::level_enum> parse_log_level(const std::string& name) {
  for (const auto& known : level_names)
    if (known == name)
      return spdlog::level::from_str(name);
  return std::nullopt;
}

expected<node_config> read_node_config(const std::filesystem::path& file, const std::filesystem::path& share) {
  auto reader =
      file.empty() ? settings_reader::parse(default_config, "built-in troupe.toml") : settings_reader::read_file(file);
  if (!reader)
    return reader.error();
  node_config config;
  read_grpc(*reader, config.grpc);
  read_log(*reader, config);
  const auto base = file.empty() ? share : std::filesystem::absolute(file).parent_path();
  read_http(*reader, base, config.http);
  config.http.drain = config.grpc.drain;
  config.http.grace = config.grpc.grace;
  config.models = (base / reader->table("models").text("path").value_or("models")).lexically_normal();
  for (const auto& path : reader->table("skillsets").texts("paths").value_or(std::vector<std::string>{}))
    config.skillsets.push_back((base / path).lexically_normal());
  if (const auto slots = reader->table("cpu").integer("slots", 0, 4096).value_or(0); slots > 0)
    config.cpu_slots = static_cast<std::size_t>(slots);
  if (const auto done = reader->finish(); !done)
    return done.error();
  return config;
}

std::filesystem::path share_folder() {
  return (program_folder() / "../share/troupe").lexically_normal();
}

std::filesystem::path host_program() {
  return program_folder() / "troupe-host";
}

std::filesystem::path skillset_folder() {
  return (program_folder() / "../lib/troupe/skillsets").lexically_normal();
}

}  // namespace troupe
