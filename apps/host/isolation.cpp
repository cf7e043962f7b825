#include "apps/host/isolation.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <system_error>

namespace troupe {
namespace {

expected<void> checked(bool done, const std::string& what, int code = errno) {
  if (done)
    return {};
  return make_error(status_code::failed_precondition, what + ": " + std::generic_category().message(code),
                    "see what the system or the container refuses its processes");
}

/// To be exact, with that thread of the node which started it (prctl(2)); a node starts hosts on a thread that lives as
/// long as itself. One that was gone before this has closed its end of the socket, which the server looks at.
expected<void> die_with_node() {
  return checked(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "cannot ask to die with the node");
}

/// Ctrl-C reaches every process of a terminal, but ends the node, which ends its hosts. Whatever the node's threads
/// block is of no interest here.
expected<void> reset_signals() {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTERM, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  return checked(sigprocmask(SIG_SETMASK, &none, nullptr) == 0, "cannot unblock the signals");
}

/// Input is empty, and what is printed is for stderr: a plug-in that prints breaks nothing.
expected<void> reset_descriptors() {
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0)
    return checked(false, "cannot open /dev/null");
  if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(nothing, STDERR_FILENO) < 0)
    return checked(false, "cannot redirect stderr");
  if (dup2(nothing, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    return checked(false, "cannot redirect stdin and stdout");
  if (fcntl(node_socket, F_SETFD, FD_CLOEXEC) != 0)
    return checked(false, "cannot keep the socket from programs that the plug-in may start");
  return checked(close_range(node_socket + 1, ~0u, 0) == 0, "cannot close the descriptors that were inherited");
}

/// Sets both limits, so that the plug-in can't raise it again; never above what is there already.
template <class Resource>
expected<void> limit(Resource resource, std::uint64_t most, const std::string& what) {
  rlimit now{};
  getrlimit(resource, &now);
  const auto value = std::min<rlim_t>(most, now.rlim_max);
  const rlimit wanted{value, value};
  return checked(setrlimit(resource, &wanted) == 0, "cannot limit " + what);
}

expected<void> set_limits(const host_limits& limits) {
  if (auto set = limit(RLIMIT_CORE, 0, "core dumps"); !set)
    return set;
  if (limits.open_files)
    if (auto set = limit(RLIMIT_NOFILE, *limits.open_files, "open files"); !set)
      return set;
  // Not the address space: engines map files and reserve ranges that cost nothing.
  if (limits.memory_mib)
    return limit(RLIMIT_DATA, *limits.memory_mib << 20, "memory");
  return {};
}

/// What it starts stays in its process group, with which the node ends it.
int keep_group(scmp_filter_ctx filter) {
  if (const int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsid), 0))
    return failed;
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setpgid), 0);
}

/// No socket but of the machine itself; and no io_uring, which makes sockets where no filter looks.
int forbid_network(scmp_filter_ctx filter) {
  if (const int failed =
          seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX)))
    return failed;
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(io_uring_setup), 0);
}

expected<void> filter_calls(bool network) {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter{seccomp_init(SCMP_ACT_ALLOW), seccomp_release};
  if (!filter)
    return checked(false, "cannot make a system call filter", ENOMEM);
  int failed = keep_group(filter.get());
  if (failed == 0 && !network)
    failed = forbid_network(filter.get());
  if (failed == 0)
    failed = seccomp_load(filter.get());
  return checked(failed == 0, "cannot filter the system calls", -failed);
}

}  // namespace

expected<void> check_node_socket() {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(node_socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM)
    return {};
  return make_error(status_code::failed_precondition, "descriptor 3 is no stream socket",
                    "let troupe-node start this program: set isolation = \"process\" in a model.toml");
}

expected<void> keep_node_socket() {
  return checked(fcntl(node_socket, F_SETFD, 0) == 0, "cannot keep the socket to the node");
}

expected<void> isolate(const host_limits& limits) {
  if (auto set = die_with_node(); !set)
    return set;
  if (auto set = reset_signals(); !set)
    return set;
  if (auto set = reset_descriptors(); !set)
    return set;
  if (auto set = set_limits(limits); !set)
    return set;
  if (auto set = checked(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "cannot give up new privileges"); !set)
    return set;
  return filter_calls(limits.network);
}

}  // namespace troupe
