#pragma once

#include "actors/concurrency/error.hpp"

#include <string>

namespace troupe::cli {

/// What the program tells the shell. The numbers are those of sysexits(3) where it has a fitting one, 124 is that of
/// timeout(1), and 128 + n stands for signal n, as in a shell.
enum class exit_code : int {
  success = 0,
  usage = 64,           ///< the command line is wrong
  data = 65,            ///< INVALID_ARGUMENT, OUT_OF_RANGE
  not_found = 66,       ///< NOT_FOUND, an input file that can't be read
  unavailable = 69,     ///< UNAVAILABLE: nobody answers, or the node is not ready
  software = 70,        ///< INTERNAL, UNKNOWN, DATA_LOSS
  already_exists = 73,  ///< ALREADY_EXISTS
  output = 74,          ///< standard output can't be written, standard input can't be read
  try_again = 75,       ///< RESOURCE_EXHAUSTED, ABORTED
  unimplemented = 76,   ///< UNIMPLEMENTED
  permission = 77,      ///< PERMISSION_DENIED, UNAUTHENTICATED
  precondition = 78,    ///< FAILED_PRECONDITION
  deadline = 124,       ///< DEADLINE_EXCEEDED
  cancelled = 130,      ///< CANCELLED, or Ctrl-C
  terminated = 143,     ///< SIGTERM
};

/// The exit code of a call that ended with `code`.
exit_code exit_code_of(status_code code) noexcept;

/// Every exit code with its meaning, one a line, for `--help`.
std::string describe_exit_codes();

}  // namespace troupe::cli
