#include "actors/supervision/supervisor_flags.hpp"

#include <set>

namespace troupe {
namespace {

constexpr std::int64_t highest_intensity = 1'000'000;

error bad_flag(const supervisor_flags& flags, std::string_view field, const std::string& value,
               const std::string& remedy) {
  return make_error(status_code::invalid_argument,
                    "supervisor '" + shortened(flags.name, 128) + "': " + std::string{field} + " is " + value, remedy);
}

bool is_positive_wait(std::chrono::milliseconds time) {
  return time.count() > 0 && time <= longest_wait;
}

std::string text(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

expected<void> validate_backoff(const supervisor_flags& flags) {
  const auto& backoff = flags.backoff;
  if (backoff.first.count() < 0 || backoff.first > longest_wait)
    return bad_flag(flags, "backoff.first", text(backoff.first), "use 0 ms (no back-off) to 10 years");
  if (backoff.most < backoff.first || backoff.most > longest_wait)
    return bad_flag(flags, "backoff.most", text(backoff.most), "use backoff.first to 10 years");
  // Written so that NaN is refused too.
  if (!(backoff.factor >= 1 && backoff.factor <= 1000))
    return bad_flag(flags, "backoff.factor", std::to_string(backoff.factor), "use 1 to 1000");
  if (!(backoff.jitter >= 0 && backoff.jitter <= 1))
    return bad_flag(flags, "backoff.jitter", std::to_string(backoff.jitter), "use 0 to 1");
  return {};
}

}  // namespace

expected<void> validate(const supervisor_flags& flags) {
  if (static_cast<std::uint8_t>(flags.strategy) > static_cast<std::uint8_t>(restart_strategy::dynamic))
    return bad_flag(flags, "strategy", std::to_string(static_cast<unsigned>(flags.strategy)),
                    "use one_for_one, one_for_all, rest_for_one or dynamic");
  if (flags.intensity < 0 || flags.intensity > highest_intensity)
    return bad_flag(flags, "intensity", std::to_string(flags.intensity), "use 0 to 1000000");
  if (!is_positive_wait(flags.period))
    return bad_flag(flags, "period", text(flags.period), "use 1 ms to 10 years");
  if (static_cast<std::uint8_t>(flags.when_done) > static_cast<std::uint8_t>(auto_shutdown::all_significant))
    return bad_flag(flags, "when_done", std::to_string(static_cast<unsigned>(flags.when_done)),
                    "use never, any_significant or all_significant");
  if (!is_positive_wait(flags.kill_grace))
    return bad_flag(flags, "kill_grace", text(flags.kill_grace), "use 1 ms to 10 years");
  return validate_backoff(flags);
}

expected<void> validate(const supervisor_flags& flags, const child_spec& spec) {
  if (auto valid = validate(spec); !valid)
    return valid;
  if (spec.significant && flags.when_done == auto_shutdown::never)
    return make_error(status_code::invalid_argument,
                      "child '" + shortened(spec.id, 128) + "': significant is true, but when_done of supervisor '" +
                          shortened(flags.name, 128) + "' is never",
                      "use any_significant or all_significant, or a child that is not significant");
  return {};
}

expected<void> validate(const supervisor_flags& flags, const std::vector<child_spec>& children) {
  if (flags.strategy == restart_strategy::dynamic && children.size() != 1)
    return bad_flag(flags, "strategy", "dynamic with " + std::to_string(children.size()) + " children",
                    "give it exactly one, the template");
  std::set<std::string_view> ids;
  for (const auto& spec : children) {
    if (auto valid = validate(flags, spec); !valid)
      return valid;
    if (!ids.insert(spec.id).second)
      return make_error(status_code::already_exists, "supervisor '" + shortened(flags.name, 128) +
                                                         "' has two children called '" + shortened(spec.id, 128) + "'");
  }
  return {};
}

supervisor_flags task_group_flags(std::string name, report_sink on_failure) {
  supervisor_flags flags;
  flags.name = std::move(name);
  flags.strategy = restart_strategy::one_for_all;
  flags.intensity = 0;
  flags.when_done = auto_shutdown::all_significant;
  flags.on_report = [on_failure = std::move(on_failure)](const supervisor_report& report) {
    using enum report_context;
    if (report.context == start_error || report.context == child_terminated || report.context == shutdown_error)
      on_failure(report);
  };
  return flags;
}

}  // namespace troupe
