#include "apps/troupe/interrupt.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr int grace_ms = 1000;

sigset_t watched_signals() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

int checked(int descriptor) {
  if (descriptor < 0)
    throw std::system_error(errno, std::generic_category(), "watching for signals");
  return descriptor;
}

void raise_event(int descriptor) noexcept {
  const std::uint64_t one = 1;
  // An eventfd takes 2^64 - 2 of these before it would refuse one.
  [[maybe_unused]] const auto written = ::write(descriptor, &one, sizeof one);
}

/// Waits for a signal; 0 when `done` becomes readable or the time is over. Negative: no limit.
int next_signal(int signals, int done, int timeout_ms) noexcept {
  std::array<pollfd, 2> either{{{signals, POLLIN, 0}, {done, POLLIN, 0}}};
  int ready = 0;
  do
    ready = ::poll(either.data(), either.size(), timeout_ms);
  while (ready < 0 && errno == EINTR);
  signalfd_siginfo info{};
  if (ready <= 0 || either[1].revents != 0 || ::read(signals, &info, sizeof info) != sizeof info)
    return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace

interrupt::interrupt()
    : signals_([] {
        const auto set = watched_signals();
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        return checked(::signalfd(-1, &set, SFD_CLOEXEC));
      }()),
      raised_(checked(::eventfd(0, EFD_CLOEXEC))),
      done_(checked(::eventfd(0, EFD_CLOEXEC))),
      watcher_([this] { watch(); }) {}

interrupt::~interrupt() {
  raise_event(done_);
  watcher_.join();
  for (const auto descriptor : {signals_, raised_, done_})
    ::close(descriptor);
}

void interrupt::watch() {
  int signal = 0;
  do
    signal = next_signal(signals_, done_, -1);
  while (signal == SIGINT && divert());
  if (signal == 0)
    return;
  signal_ = signal;
  scope_.cancel(make_error(status_code::cancelled, signal == SIGINT ? "interrupted" : "terminated"));
  raise_event(raised_);
  divert();
  pollfd done{done_, POLLIN, 0};
  next_signal(signals_, done_, grace_ms);
  if (::poll(&done, 1, 0) == 0)
    std::quick_exit(static_cast<int>(code()));
}

bool interrupt::divert() {
  const std::lock_guard lock{mutex_};
  if (!part_ || part_->scope_.cancel_called())
    return false;
  part_->scope_.cancel(make_error(status_code::cancelled, "interrupted"));
  raise_event(part_->raised_);
  return true;
}

interruption::interruption(interrupt& program)
    : program_(program), scope_(no_deadline, program.token()), raised_(checked(::eventfd(0, EFD_CLOEXEC))) {
  const std::lock_guard lock{program_.mutex_};
  program_.part_ = this;
  // The program may have been told to end before there was a part to be told.
  if (program_.token().cancelled())
    raise_event(raised_);
}

interruption::~interruption() {
  {
    const std::lock_guard lock{program_.mutex_};
    program_.part_ = nullptr;
  }
  ::close(raised_);
}

}  // namespace troupe::cli
