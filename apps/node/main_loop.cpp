#include "apps/node/main_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>
#include <system_error>
#include <utility>

namespace troupe {
namespace {

int checked(int result, const char* what) {
  if (result < 0)
    throw std::system_error{errno, std::generic_category(), what};
  return result;
}

}  // namespace

main_loop::main_loop() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A reader of our output that goes away must not take the node with it.
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = checked(signalfd(-1, &set, SFD_CLOEXEC), "signalfd");
  wake_ = checked(eventfd(0, EFD_CLOEXEC), "eventfd");
}

main_loop::~main_loop() {
  close(signals_);
  close(wake_);
}

void main_loop::post(std::function<void()> work) {
  {
    const std::lock_guard lock{mutex_};
    posted_.push_back(std::move(work));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
}

void main_loop::call_at(steady_clock::time_point when, std::function<void()> work) {
  when_ = when;
  at_when_ = std::move(work);
}

void main_loop::run(const std::function<void(int)>& on_signal) {
  while (!stopped_) {
    pollfd waiting[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(waiting, 2, milliseconds_left()) < 0 && errno != EINTR)
      throw std::system_error{errno, std::generic_category(), "poll"};
    if (waiting[1].revents & POLLIN) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto drained = read(wake_, &count, sizeof count);
      run_posted();
    }
    signalfd_siginfo info{};
    if ((waiting[0].revents & POLLIN) && read(signals_, &info, sizeof info) == sizeof info)
      on_signal(static_cast<int>(info.ssi_signo));
    run_due();
  }
}

/// How long poll may wait: -1 for ever.
int main_loop::milliseconds_left() const {
  if (!at_when_)
    return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when_ - steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

void main_loop::run_due() {
  if (at_when_ && steady_clock::now() >= when_)
    std::exchange(at_when_, nullptr)();
}

void main_loop::run_posted() {
  std::deque<std::function<void()>> work;
  {
    const std::lock_guard lock{mutex_};
    work.swap(posted_);
  }
  for (auto& item : work)
    item();
}

}  // namespace troupe
