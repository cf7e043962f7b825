#include "apps/troupe/output.hpp"

#include "apps/troupe/format.hpp"

#include <cerrno>
#include <system_error>

#include <poll.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr std::size_t buffer_size = 64 * 1024;

/// Waits until the descriptor takes more. Whoever shares it may have made it non-blocking.
void await_room(int descriptor) noexcept {
  pollfd room{descriptor, POLLOUT, 0};
  (void)::poll(&room, 1, -1);
}

/// Writes all of `text`; returns errno, or 0.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const auto written = ::write(descriptor, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno == EAGAIN)
      await_room(descriptor);
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

}  // namespace

bool output::print(std::string_view text) {
  if (failure_ != 0)
    return false;
  pending_.append(text);
  return pending_.size() < buffer_size || flush();
}

bool output::flush() {
  if (failure_ == 0)
    failure_ = write_all(descriptor_, pending_);
  reader_gone_ = failure_ == EPIPE;
  pending_.clear();
  return failure_ == 0;
}

error output::failure() const {
  return make_error(status_code::internal,
                    "standard output can't be written: " + std::generic_category().message(failure_));
}

void complain(std::string_view text) {
  // One write, so that lines of several processes don't mix. Where standard error is closed nobody can be told.
  (void)write_all(STDERR_FILENO, "troupe: " + one_line(text) + "\n");
}

exit_code fail(const error& why) {
  complain(to_string(why));
  return exit_code_of(why.code);
}

exit_code fail_usage(const error& why) {
  complain("USAGE: " + why.message());
  return exit_code::usage;
}

}  // namespace troupe::cli
