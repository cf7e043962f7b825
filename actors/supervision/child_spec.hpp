#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/fwd.hpp>

#include <any>
#include <chrono>
#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <variant>

namespace troupe {

/// The question that a supervisor asks each child right after spawning it. The child answers with nothing once it is
/// running, with a `start_answer` when it has more to say, or with an error when it can't run; the next child starts
/// after the answer.
using start_atom = caf::atom_constant<caf::atom("start")>;

/// What a child may answer to `start_atom` in place of nothing.
struct start_answer {
  bool ignored = false;  ///< there is nothing for this child to do: it is ended again, and that is no failure
  std::any info;         ///< handed unchanged to whoever called `start_child` or `restart_child`
};

/// Whether a child that ended is started again.
enum class restart_type : std::uint8_t {
  permanent,  ///< always
  transient,  ///< only when it failed: a normal exit and a shutdown are final
  temporary,  ///< never; and once it has ended its supervisor forgets it
};

/// What a child is: a supervisor gets all the time it needs to stop, as it has children of its own to stop.
enum class child_type : std::uint8_t { worker, supervisor };

std::string_view to_string(restart_type type) noexcept;
std::string_view to_string(child_type type) noexcept;

/// The longest time that anything here is told to wait, but for "for ever".
inline constexpr std::chrono::milliseconds longest_wait = std::chrono::hours{24 * 3650};

/// How long a child may take to stop once it was asked to.
class shutdown_time {
 public:
  /// Asked, and killed after `limit`; the greatest duration there is waits for ever.
  template <class Rep, class Period>
  shutdown_time(std::chrono::duration<Rep, Period> limit)
      : limit_(limit == limit.max() ? std::chrono::milliseconds::max()
                                    : std::chrono::duration_cast<std::chrono::milliseconds>(limit)) {}

  /// Killed at once, without being asked.
  static shutdown_time brutal() noexcept {
    shutdown_time result{std::chrono::milliseconds{0}};
    result.brutal_ = true;
    return result;
  }

  /// Asked, and waited for whatever it takes.
  static shutdown_time infinite() noexcept { return std::chrono::milliseconds::max(); }

  bool is_brutal() const noexcept { return brutal_; }
  bool is_infinite() const noexcept { return limit_ == std::chrono::milliseconds::max(); }
  std::chrono::milliseconds limit() const noexcept { return limit_; }

  friend bool operator==(const shutdown_time&, const shutdown_time&) = default;

 private:
  std::chrono::milliseconds limit_;
  bool brutal_ = false;
};

/// `brutal`, `infinity`, or the time in milliseconds.
std::string to_string(const shutdown_time& time);

/// What a start function has to work with.
struct start_context {
  caf::actor_system& system;
  cancel_token token;         ///< cancelled when the start is given up: deadline, administration, the supervisor's stop
  const std::any& arguments;  ///< of a dynamic child: what `start_child` was called with; empty otherwise
};

/// What a start function made: an actor that is asked `start_atom` next, nothing on purpose, or an error.
class start_outcome {
 public:
  start_outcome(caf::actor instance, std::any info = {}) : state_(made{std::move(instance), std::move(info)}) {}
  start_outcome(troupe::error why) : state_(std::move(why)) {}
  start_outcome(expected<caf::actor> result) : state_(made{}) {
    if (result)
      state_ = made{*std::move(result), {}};
    else
      state_ = std::move(result).error();
  }

  /// There is nothing for this child to do, and that is no failure.
  static start_outcome ignore() { return start_outcome{}; }

  bool ignored() const noexcept { return state_.index() == 0; }
  const troupe::error* failure() const noexcept { return std::get_if<troupe::error>(&state_); }
  const caf::actor& instance() const { return std::get<made>(state_).instance; }
  std::any& info() { return std::get<made>(state_).info; }

 private:
  struct made {
    caf::actor instance;
    std::any info;
  };

  start_outcome() = default;

  std::variant<std::monostate, made, troupe::error> state_;
};

/// Makes a child: any callable that takes an actor system or a `start_context` and returns what `start_outcome` can be
/// made from. It must not block; what it throws, of whatever type, is a failed start.
class start_function {
 public:
  start_function() = default;

  template <class F>
  requires(!std::same_as<F, start_function> && (std::invocable<F&, const start_context&> ||
                                                std::invocable<F&, caf::actor_system&>)) start_function(F make) {
    if constexpr (requires { typename F::result_type; })
      if (!make)
        return;
    if constexpr (std::invocable<F&, const start_context&>)
      make_ = std::move(make);
    else
      make_ = [f = std::move(make)](const start_context& context) mutable -> start_outcome {
        return f(context.system);
      };
  }

  explicit operator bool() const noexcept { return make_ != nullptr; }

  start_outcome operator()(const start_context& context) const { return make_(context); }

 private:
  std::function<start_outcome(const start_context&)> make_;
};

/// What a supervisor knows of a child. A child is asked to stop by an exit message with the reason
/// `caf::exit_reason::user_shutdown`, and killed when it takes longer than `shutdown`.
///
/// A child is `significant` when its own end can end its supervisor: see `auto_shutdown`. A permanent child always
/// comes back, so it can't be.
struct child_spec {
  std::string id = {};  ///< unique within its supervisor
  start_function start = {};
  restart_type restart = restart_type::permanent;
  std::optional<shutdown_time> shutdown = std::nullopt;  ///< unset: 5 s for a worker, infinite for a supervisor
  child_type type = child_type::worker;
  bool significant = false;
  std::optional<std::chrono::milliseconds> start_within =
      std::nullopt;  ///< of its start, else it is stopped and has failed to start

  shutdown_time shutdown_or_default() const noexcept {
    if (shutdown)
      return *shutdown;
    return type == child_type::supervisor ? shutdown_time::infinite() : shutdown_time{std::chrono::seconds{5}};
  }
};

/// INVALID_ARGUMENT with the field and its value when the specification makes no sense.
expected<void> validate(const child_spec& spec);

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::start_answer)
