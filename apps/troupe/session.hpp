#pragma once

#include "apps/troupe/fwd.hpp"

namespace troupe::cli {

/// What every command works with.
struct session {
  client& node;
  output& out;
  interrupt& signals;
  bool json;  ///< output for programs
};

}  // namespace troupe::cli
