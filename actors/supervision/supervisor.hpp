#pragma once

#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/supervisor_flags.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <vector>

namespace troupe {

/// Spawns a supervisor: an actor that starts, watches, restarts and stops others, by the rules of OTP's
/// (https://www.erlang.org/doc/apps/stdlib/supervisor.html). The rules:
///
/// **Start.** On `start_atom` it checks its flags and specifications, and refuses what makes no sense before anything
/// starts. Then its children start in order, each when the one before has answered. When one fails, those that run are
/// stopped in reverse, and the supervisor answers and ends with that child's error, and `failed_child()` of its exit
/// reason names it. A start that says "ignore" leaves the child stopped.
///
/// **Stop.** Told by an exit message, it stops its children in reverse order, and ends with the reason it was given. A
/// child is asked to stop, waited for as long as its specification says, and killed; one that even so doesn't end is
/// reported, and given up after `kill_grace`. A dynamic supervisor's children are stopped all at once under one such
/// time. The children of a supervisor that is killed itself are killed.
///
/// **Restart.** A child that ended by itself is started again if its restart type says so, with those that the strategy
/// takes along: they are stopped first, temporary ones for good. A restart that fails is tried again, from the child
/// that failed (of one_for_all: from the beginning), and counts again. When there were more than `intensity` within
/// `period`, the supervisor stops all and ends with `shutdown_because(the child's error)`: its own supervisor takes
/// that for a shutdown. With `backoff` each try waits first; meanwhile calls are answered, and the child is
/// "restarting".
///
/// **Order.** Starts, restarts and calls (supervisor_admin.hpp) take place one after the other, in the order in which
/// they came up. Three things don't wait: questions, giving up a start, and the supervisor's own stop. What was still
/// to be done when a supervisor ends is answered with an error.
///
/// **Reports.** Whatever happens to a child is told once, in the log and to `on_report`: see `supervisor_report`.
///
/// Beyond OTP: back-off; starts that can be given up, by their token, their `start_within` or `terminate_child`; an end
/// to waiting for what can't be killed; and one_for_all starts with a child that was terminated left out rather than
/// not at all.
caf::actor spawn_supervisor(caf::actor_system& system, supervisor_flags flags, std::vector<child_spec> children);

}  // namespace troupe
