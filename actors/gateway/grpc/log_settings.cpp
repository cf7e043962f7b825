#include "actors/gateway/grpc/log_settings.hpp"

#include "actors/concurrency/log.hpp"

#include <algorithm>

namespace troupe {
namespace {

using spdlog::level::level_enum;
using value = inference::LogSettingsRequest::SettingValue;

/// The levels that are wanted, from the most talkative to the most silent.
struct level_range {
  level_enum least = spdlog::level::trace;
  level_enum most = spdlog::level::off;

  void at_least(level_enum level) { least = std::max(least, level); }
  void at_most(level_enum level) { most = std::min(most, level); }
};

std::string name_of(log_format format) {
  return format == log_format::json ? "json" : "text";
}

error wrong_type(const std::string& name, const std::string& type) {
  return make_error(status_code::invalid_argument, "log setting '" + name + "' has a value that is no " + type);
}

expected<void> check_fixed(const std::string& name, const value& asked, const std::string& is,
                           const std::string& remedy) {
  if (asked.parameter_choice_case() != value::kStringParam)
    return wrong_type(name, "string");
  if (asked.string_param() != is)
    return make_error(status_code::unimplemented,
                      "log setting '" + name + "' is '" + is + "' and can't be changed while the node runs", remedy);
  return {};
}

expected<void> set_verbosity(const std::string& name, const value& asked, level_range& range) {
  if (asked.parameter_choice_case() != value::kUint32Param)
    return wrong_type(name, "uint32");
  const auto verbosity = asked.uint32_param();
  range.at_least(verbosity == 0 ? spdlog::level::info : verbosity == 1 ? spdlog::level::debug : spdlog::level::trace);
  if (verbosity > 0)
    range.at_most(verbosity == 1 ? spdlog::level::debug : spdlog::level::trace);
  return {};
}

expected<void> turn(const std::string& name, const value& asked, level_enum level, level_range& range) {
  if (asked.parameter_choice_case() != value::kBoolParam)
    return wrong_type(name, "bool");
  if (asked.bool_param())
    range.at_most(level);
  else
    range.at_least(static_cast<level_enum>(level + 1));
  return {};
}

expected<void> apply(const std::string& name, const value& asked, level_range& range) {
  if (name == "log_error")
    return turn(name, asked, spdlog::level::err, range);
  if (name == "log_warning")
    return turn(name, asked, spdlog::level::warn, range);
  if (name == "log_info")
    return turn(name, asked, spdlog::level::info, range);
  if (name == "log_verbose_level")
    return set_verbosity(name, asked, range);
  if (name == "log_file")
    return check_fixed(name, asked, "", "redirect the node's standard error when it is started");
  if (name == "log_format")
    return check_fixed(name, asked, name_of(log_format_in_use()), "start the node with --log-format");
  return make_error(status_code::invalid_argument, "there is no log setting '" + name + "'",
                    "LogSettings without settings lists them");
}

}  // namespace

expected<level_enum> changed_level(level_enum level, const log_changes& changes) {
  level_range range;
  for (const auto& [name, asked] : changes)
    if (const auto applied = apply(name, asked, range); !applied)
      return applied.error();
  if (range.most < range.least)
    return make_error(status_code::invalid_argument, "the log settings contradict each other",
                      "the log has one level: what is on brings along what is more serious");
  return std::clamp(level, range.least, range.most);
}

void describe_log(inference::LogSettingsResponse& to) {
  const auto level = log_level();
  auto& settings = *to.mutable_settings();
  settings["log_file"].set_string_param("");
  settings["log_error"].set_bool_param(level <= spdlog::level::err);
  settings["log_warning"].set_bool_param(level <= spdlog::level::warn);
  settings["log_info"].set_bool_param(level <= spdlog::level::info);
  settings["log_verbose_level"].set_uint32_param(level == spdlog::level::trace ? 2 : level == spdlog::level::debug);
  settings["log_format"].set_string_param(name_of(log_format_in_use()));
}

}  // namespace troupe
