#pragma once

#include "actors/concurrency/error.hpp"

#include <caf/error.hpp>

#include <string>

namespace troupe {

/// The project's errors as CAF carries them between actors of one process, and back. A normal exit comes back as OK.
caf::error to_caf(const error& e);
error from_caf(const caf::error& e);

/// An exit reason that counts as a shutdown and yet tells why: what OTP writes `{shutdown, Why}`. `child` is the child
/// that caused it, if one did.
caf::error shutdown_because(const error& why, const std::string& child = {});

/// True for the reasons that are no failure: a normal exit, `user_shutdown` and `shutdown_because(…)`.
bool is_shutdown(const caf::error& reason);

/// `reason`, or an error in place of a plain shutdown where a child should have gone on.
caf::error or_ended(const caf::error& reason);

/// The path to the child that made a supervisor end, such as "models/bert/0": a supervisor adds its child in front of
/// what that child says itself. Empty when no child did.
std::string failed_child(const caf::error& reason);

}  // namespace troupe
