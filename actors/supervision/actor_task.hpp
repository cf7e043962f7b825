#pragma once

#include "actors/supervision/child_spec.hpp"
#include "actors/supervision/task_group.hpp"

namespace troupe {

/// Tasks that are actors: what is given is a start function, as a supervisor's child has one, and such a child the
/// actor is. It answers `start_atom` when it is ready, and is told to end by an exit message when its task is
/// cancelled; a normal exit is its success, any other than a shutdown its failure. `task_group::start<std::any>` waits
/// for it to be ready and gives what it had to say.
///
/// The actors of a group are children of one supervisor, with `task_group_flags`: this is what a task group is, and
/// what is said there of shutdown times and of reports holds. In a group that was cancelled no actor is started.
template <>
struct task_launcher<caf::actor_system> {
  template <class Function>
  using result = void;

  static void launch(caf::actor_system& system, start_function make, task_promise<void> promise);

  template <class Function>
  static void launch(caf::actor_system& system, starting_function<Function, std::any> make,
                     task_promise<void> promise) {
    start(system, std::move(make.function), std::move(promise), std::move(make.ready));
  }

 private:
  static void start(caf::actor_system& system, start_function make, task_promise<void> promise,
                    task_ready<std::any> ready);
};

}  // namespace troupe
