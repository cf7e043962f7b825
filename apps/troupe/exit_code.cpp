#include "apps/troupe/exit_code.hpp"

#include <array>
#include <string_view>

namespace troupe::cli {

exit_code exit_code_of(status_code code) noexcept {
  switch (code) {
    case status_code::ok:
      return exit_code::success;
    case status_code::cancelled:
      return exit_code::cancelled;
    case status_code::invalid_argument:
    case status_code::out_of_range:
      return exit_code::data;
    case status_code::deadline_exceeded:
      return exit_code::deadline;
    case status_code::not_found:
      return exit_code::not_found;
    case status_code::already_exists:
      return exit_code::already_exists;
    case status_code::permission_denied:
    case status_code::unauthenticated:
      return exit_code::permission;
    case status_code::resource_exhausted:
    case status_code::aborted:
      return exit_code::try_again;
    case status_code::failed_precondition:
      return exit_code::precondition;
    case status_code::unimplemented:
      return exit_code::unimplemented;
    case status_code::unavailable:
      return exit_code::unavailable;
    case status_code::unknown:
    case status_code::internal:
    case status_code::data_loss:
      break;
  }
  return exit_code::software;
}

std::string describe_exit_codes() {
  struct entry {
    exit_code code;
    std::string_view meaning;
  };
  constexpr std::array<entry, 15> entries{{
      {exit_code::success, "done"},
      {exit_code::usage, "the command line is wrong"},
      {exit_code::data, "INVALID_ARGUMENT, OUT_OF_RANGE: the input is wrong"},
      {exit_code::not_found, "NOT_FOUND: no such model or file"},
      {exit_code::unavailable, "UNAVAILABLE: nobody answers, or what answers is not ready"},
      {exit_code::software, "INTERNAL, UNKNOWN, DATA_LOSS: something is broken"},
      {exit_code::already_exists, "ALREADY_EXISTS"},
      {exit_code::output, "standard input or output failed"},
      {exit_code::try_again, "RESOURCE_EXHAUSTED, ABORTED: too much at once; try again"},
      {exit_code::unimplemented, "UNIMPLEMENTED: the node can't do this"},
      {exit_code::permission, "PERMISSION_DENIED, UNAUTHENTICATED"},
      {exit_code::precondition, "FAILED_PRECONDITION"},
      {exit_code::deadline, "DEADLINE_EXCEEDED: no answer within --timeout"},
      {exit_code::cancelled, "CANCELLED, or Ctrl-C"},
      {exit_code::terminated, "ended by SIGTERM"},
  }};
  std::string text = "Exit codes:\n";
  for (const auto& [code, meaning] : entries) {
    const auto number = std::to_string(static_cast<int>(code));
    text.append(5 - number.size(), ' ').append(number).append("  ").append(meaning).append("\n");
  }
  return text;
}

}  // namespace troupe::cli
