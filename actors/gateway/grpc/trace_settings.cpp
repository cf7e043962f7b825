#include "actors/gateway/grpc/trace_settings.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace troupe {
namespace {

struct trace_setting {
  std::string_view name;
  std::string_view value;
};

/// Triton's defaults.
constexpr std::array<trace_setting, 6> trace_settings{{
    {"trace_level", "OFF"},
    {"trace_rate", "1000"},
    {"trace_count", "-1"},
    {"log_frequency", "0"},
    {"trace_file", ""},
    {"trace_mode", "triton"},
}};

}  // namespace

void describe_tracing(inference::TraceSettingResponse& to) {
  for (const auto& setting : trace_settings)
    (*to.mutable_settings())[std::string{setting.name}].add_value(std::string{setting.value});
}

expected<void> check_trace_settings(const inference::TraceSettingRequest& request) {
  for (const auto& [name, asked] : request.settings()) {
    const auto* const found = std::find_if(trace_settings.begin(), trace_settings.end(),
                                           [&, &wanted = name](const auto& known) { return known.name == wanted; });
    if (found == trace_settings.end())
      return make_error(status_code::invalid_argument, "there is no trace setting '" + name + "'",
                        "TraceSetting without settings lists them");
    // No value at all sets a setting back to its default.
    if (asked.value_size() > 0 && (asked.value_size() > 1 || asked.value(0) != found->value))
      return make_error(status_code::unimplemented, "trace setting '" + name + "' can't be changed: nothing is traced",
                        "log_verbose_level 2 of LogSettings logs the stages of each request");
  }
  return {};
}

}  // namespace troupe
