#pragma once

#include "actors/concurrency/error.hpp"

#include <caf/actor.hpp>
#include <caf/atom.hpp>
#include <caf/behavior.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace troupe {

/// Who goes down with a failed child, by OTP's rules
/// (https://www.erlang.org/doc/apps/stdlib/supervisor.html, "Supervision Principles").
enum class restart_strategy : std::uint8_t {
  one_for_one,   ///< the failed child alone is restarted
  one_for_all,   ///< the others are stopped, then all are restarted in order
  rest_for_one,  ///< those started after it are stopped, then it and they are restarted in order
};

/// Whether a child that ended is started again.
enum class restart_type : std::uint8_t {
  permanent,  ///< always
  transient,  ///< only when it failed: a normal exit and a shutdown are final
  temporary,  ///< never
};

/// The question that a supervisor asks each child right after spawning it. The child answers with nothing once it is
/// running, or with an error when it can't; the next child starts after the answer.
using start_atom = caf::atom_constant<caf::atom("start")>;

/// What a supervisor knows of a child. A child is asked to stop by an exit message with the reason
/// `caf::exit_reason::user_shutdown`, and killed when it takes longer than `shutdown`.
struct child_spec {
  std::string id;                                       ///< unique within its supervisor
  std::function<caf::actor(caf::actor_system&)> start;  ///< spawns the child; must not block
  restart_type restart = restart_type::permanent;
  std::chrono::milliseconds shutdown = std::chrono::seconds{5};  ///< `max()` waits for ever
};

/// How a supervisor behaves: more than `intensity` restarts within `period` end it, and its own supervisor decides.
struct supervisor_flags {
  std::string name;
  restart_strategy strategy = restart_strategy::one_for_one;
  std::size_t intensity = 1;
  std::chrono::milliseconds period = std::chrono::seconds{5};
};

/// Spawns a supervisor. It starts its children in order when it gets `start_atom`, and answers when all of them run or
/// the first one failed; then it ends with that error. Stopped by an exit message, it stops its children in reverse
/// order and ends with `user_shutdown`.
caf::actor spawn_supervisor(caf::actor_system& system, supervisor_flags flags, std::vector<child_spec> children);

/// The project's errors as CAF carries them between actors of one process, and back.
caf::error to_caf(const error& e);
error from_caf(const caf::error& e);

}  // namespace troupe
