#pragma once

#include "actors/concurrency/error.hpp"

namespace troupe {

/// What troupe-node ends with; the numbers are those of <sysexits.h>.
enum exit_code : int {
  exit_ok = 0,             ///< asked to stop, and everything ended in order
  exit_usage = 64,         ///< wrong arguments
  exit_corrupt = 65,       ///< a model's file is not what it should be
  exit_missing = 66,       ///< a model, its folder or a file is not there
  exit_unavailable = 69,   ///< the port is taken, or a device is not there
  exit_internal = 70,      ///< the node failed, or work would not end when it was told
  exit_configuration = 78  ///< a settings file is wrong
};

/// The exit code for an error that ends the node while it starts or runs.
inline exit_code exit_code_of(status_code code) {
  switch (code) {
    case status_code::ok:
      return exit_ok;
    case status_code::not_found:
      return exit_missing;
    case status_code::data_loss:
    case status_code::invalid_argument:
      return exit_corrupt;
    case status_code::unavailable:
      return exit_unavailable;
    default:
      return exit_internal;
  }
}

}  // namespace troupe
