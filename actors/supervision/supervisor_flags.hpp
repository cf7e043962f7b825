#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/supervision/restart_backoff.hpp"
#include "actors/supervision/supervisor_report.hpp"

#include <vector>

namespace troupe {

/// Who goes down with a failed child, by OTP's rules
/// (https://www.erlang.org/doc/apps/stdlib/supervisor.html, "Supervision Principles").
enum class restart_strategy : std::uint8_t {
  one_for_one,   ///< the failed child alone is restarted
  one_for_all,   ///< the others are stopped, then all are restarted in order
  rest_for_one,  ///< those started after it are stopped, then it and they are restarted in order
  dynamic,       ///< one template, from which children are started at run time; OTP's simple_one_for_one
};

/// Whether the end of significant children ends their supervisor. Only an end of their own counts: of a temporary child
/// any, of a transient one a normal exit or a shutdown.
enum class auto_shutdown : std::uint8_t {
  never,
  any_significant,  ///< the first one
  all_significant,  ///< the last one
};

/// How a supervisor behaves: more than `intensity` restarts within `period` end it, and its own supervisor decides.
struct supervisor_flags {
  std::string name = {};
  restart_strategy strategy = restart_strategy::one_for_one;
  std::int64_t intensity = 1;
  std::chrono::milliseconds period = std::chrono::seconds{5};
  auto_shutdown when_done = auto_shutdown::never;
  restart_backoff backoff = {};

  /// How long a killed child may take to end. An actor that is stuck in a handler can't be killed; after this it is
  /// reported and given up, so that its supervisor isn't stuck as well.
  std::chrono::milliseconds kill_grace = std::chrono::seconds{5};
  report_sink on_report = {};

  /// Whose time all of the above is; null: `real_clock()`. Outlives the supervisor, and can't be changed later.
  troupe::clock* clock = nullptr;
};

/// INVALID_ARGUMENT with the flag and its value when the flags make no sense.
expected<void> validate(const supervisor_flags& flags);

/// The same for one child of a supervisor with these flags.
expected<void> validate(const supervisor_flags& flags, const child_spec& spec);

/// The same for all of a supervisor's children; ALREADY_EXISTS when two have the same id.
expected<void> validate(const supervisor_flags& flags, const std::vector<child_spec>& children);

/// The flags of a supervisor that is a task group: nobody is restarted, the first failure stops the others, every
/// failure is reported to `on_failure`, and it ends when all of its children have. Its children are transient and
/// significant.
supervisor_flags task_group_flags(std::string name, report_sink on_failure);

}  // namespace troupe
