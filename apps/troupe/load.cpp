#include "apps/troupe/load.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"

#include <nlohmann/json.hpp>

#include <charconv>

namespace troupe::cli {
namespace {

using json = nlohmann::ordered_json;

bool is_toml(std::string_view value) {
  double number = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failed == std::errc{} && end == value.data() + value.size())
    return true;
  return value == "true" || value == "false" ||
         (!value.empty() && std::string_view{"\"'[{"}.find(value.front()) != std::string_view::npos);
}

void say(session& with, const std::string& model, const std::string& what) {
  with.out.print(with.json ? json{{"model", model}, {"state", what}}.dump() + "\n" : model + " is " + what + "\n");
}

}  // namespace

expected<std::string> parse_setting(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    return make_error(status_code::invalid_argument, "'" + std::string{text} + "' has no KEY=VALUE",
                      "write such as queue.capacity=64");
  const std::string key{text.substr(0, equals)}, value{text.substr(equals + 1)};
  // A text in JSON is one in TOML.
  return key + " = " + (is_toml(value) ? value : json(value).dump());
}

expected<void> load(session& with, const load_options& options) {
  std::string settings;
  for (const auto& line : options.settings)
    settings += line + "\n";
  if (const auto loaded = with.node.load(options.model, settings); !loaded)
    return loaded.error();
  say(with, options.model, "READY");
  return {};
}

expected<void> unload(session& with, const std::string& model) {
  if (const auto unloaded = with.node.unload(model); !unloaded)
    return unloaded.error();
  say(with, model, "unloaded");
  return {};
}

}  // namespace troupe::cli
