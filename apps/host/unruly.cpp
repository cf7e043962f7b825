#include "skillsets/sdk/plugin.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

/// A plug-in for the tests of a host: it does what a request's parameter `do` says, and answers with what came of it.
namespace troupe {
namespace {

using answer = parameter_map;

/// The error number that making a socket ends with; 0 for none.
std::int64_t try_socket(int domain) {
  const int made = socket(domain, SOCK_STREAM, 0);
  if (made < 0)
    return errno;
  close(made);
  return 0;
}

answer make_sockets() {
  io_uring_params ring{};
  const bool ring_made = syscall(SYS_io_uring_setup, 1, &ring) >= 0;
  const std::int64_t ring_failed = ring_made ? 0 : errno;
  return {{"inet", try_socket(AF_INET)},
          {"inet6", try_socket(AF_INET6)},
          {"netlink", try_socket(AF_NETLINK)},
          {"unix", try_socket(AF_UNIX)},
          {"ring", ring_failed}};
}

answer allocate(std::int64_t mib) {
  const std::vector<char> memory(static_cast<std::size_t>(mib) << 20, 'x');
  return {{"last", std::int64_t{memory.back()}}};
}

answer open_files() {
  std::int64_t opened = 0;
  while (opened < 10'000 && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
    ++opened;
  return {{"opened", opened}};
}

answer print() {
  std::printf("printed\n");
  std::fflush(stdout);
  std::cout << "streamed" << std::endl;
  return {};
}

/// What is open, such as `0 1 2 3`, and what the process is set to.
answer tell() {
  std::string open;
  DIR* const folder = opendir("/proc/self/fd");
  for (int fd = 0; fd != 1024; ++fd)
    if (fd != dirfd(folder) && fcntl(fd, F_GETFD) >= 0)
      open += (open.empty() ? "" : " ") + std::to_string(fd);
  closedir(folder);
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  int death_signal = 0;
  prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0);
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  char byte = 0;
  return {{"open", open},
          {"core", std::uint64_t{core.rlim_max}},
          {"no_new_privileges", std::int64_t{prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)}},
          {"dumpable", std::int64_t{prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)}},
          {"death_signal", std::int64_t{death_signal}},
          {"socket_is_inherited", (fcntl(3, F_GETFD) & FD_CLOEXEC) == 0},
          {"input", std::int64_t{read(0, &byte, 1)}},
          {"terminate_is_blocked", sigismember(&blocked, SIGTERM) == 1}};
}

answer act(const inference_request& request) {
  const auto& what = std::get<std::string>(request.parameters.at("do"));
  if (what == "sockets")
    return make_sockets();
  if (what == "allocate")
    return allocate(std::get<std::int64_t>(request.parameters.at("mib")));
  if (what == "open")
    return open_files();
  if (what == "print")
    return print();
  if (what == "tell")
    return tell();
  if (what == "interrupt")
    std::raise(SIGINT);
  if (what == "crash")
    std::abort();
  if (what == "hang")
    for (;;)
      pause();
  return {};
}

class unruly_instance final : public single_instance {
 public:
  using single_instance::run;
  expected<inference_response> run(const inference_request& request, const cancel_token&) override {
    return inference_response{{}, act(request)};
  }
};

class unruly_model final : public loaded_model {
 public:
  const signature& describe() const override { return signature_; }
  expected<std::unique_ptr<instance>> make_instance() override {
    return std::unique_ptr<instance>{std::make_unique<unruly_instance>()};
  }
  inference_request warm_up() const override { return {{}, {{"do", std::string{"print"}}}}; }

 private:
  signature signature_;
};

class unruly final : public skillset {
 public:
  std::string_view name() const override { return "unruly"; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return {}; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings&, const cancel_token&) override {
    return std::unique_ptr<loaded_model>{std::make_unique<unruly_model>()};
  }
};

}  // namespace
}  // namespace troupe

TROUPE_SKILLSET_ENTRY() {
  const char* const how = std::getenv("TROUPE_UNRULY");
  if (how && std::string_view{how} == "hang")
    for (;;)
      pause();
  if (how && std::string_view{how} == "nothing")
    return nullptr;
  if (how && std::string_view{how} == "throw")
    throw std::runtime_error{"no licence"};
  static troupe::unruly skills;
  return &skills;
}
