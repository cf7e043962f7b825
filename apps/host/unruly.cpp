#include "skillsets/sdk/plugin.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>

/// A plug-in for the tests of a host: it does what a request's parameter `do` says, and answers with what came of it.
/// In one of its other functions, the option `in`, it does what the option `how` says.
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

constexpr int node_socket = 3;

[[noreturn]] void hang() {
  for (;;)
    pause();
}

[[noreturn]] void spin() {
  for (volatile std::uint64_t turns = 0;;)
    turns = turns + 1;
}

void deadlock() {
  std::mutex held;
  const std::lock_guard first{held};
  held.lock();
}

/// Says something to the node itself, past the host.
void say(std::string_view bytes) {
  static_cast<void>(!write(node_socket, bytes.data(), bytes.size()));
}

/// The message FromHost with a last Answer that has no response, for an item below 128; with its length before it.
std::string frame_of_answer(char item) {
  return std::string{"\x06\0\0\0\x22\x04\x08", 7} + item + "\x20\x01";
}

/// A child that never ends by itself, and has all that this process has.
answer leave_child() {
  const auto child = fork();
  if (child == 0)
    hang();
  return {{"child", std::int64_t{child}}};
}

/// The error number that a child gets for it when it wants to leave the process group.
std::int64_t try_to_leave(int (*leave)()) {
  const auto child = fork();
  if (child == 0)
    _exit(leave() < 0 ? errno : 0);
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

answer leave_group() {
  return {{"session", try_to_leave([] { return static_cast<int>(setsid()); })},
          {"group", try_to_leave([] { return setpgid(0, 0); })}};
}

/// A GiB of lines.
answer flood() {
  std::string lines;
  while (lines.size() < 1 << 20)
    lines += "nothing to see here, but a lot of it\n";
  std::size_t written = 0;
  while (written < 1 << 30)
    if (const auto n = write(STDOUT_FILENO, lines.data(), lines.size()); n > 0)
      written += static_cast<std::size_t>(n);
  return {{"written", static_cast<std::int64_t>(written)}};
}

/// What no request can be answered after, or none that is right.
void misbehave(const std::string& what) {
  if (what == "segfault") {
    std::signal(SIGSEGV, SIG_DFL);  // whatever a sanitizer thinks of it
    std::raise(SIGSEGV);
  }
  if (what == "crash")
    std::abort();
  if (what == "exit")
    std::exit(0);
  if (what == "hang")
    hang();
  if (what == "spin")
    spin();
  if (what == "deadlock")
    deadlock();
  if (what == "throw")
    throw std::runtime_error{"thrown on purpose"};
  if (what == "throw a number")
    throw 42;
  if (what == "close the socket") {
    close(node_socket);
    hang();
  }
  if (what == "shut the socket down") {
    shutdown(node_socket, SHUT_RDWR);
    hang();
  }
  if (what == "say garbage")
    say("HTTP/1.1 200 OK\r\n\r\n");
  if (what == "announce more than comes") {
    say(std::string_view{"\0\0\x10\0 and that is all", 20});
    hang();
  }
  if (what == "answer another")
    say(frame_of_answer(77));
  if (what == "answer twice")
    say(frame_of_answer(0) + frame_of_answer(0));
  if (what == "be slow")
    std::this_thread::sleep_for(std::chrono::seconds{1});
}

answer act(const inference_request& request) {
  const auto& what = std::get<std::string>(request.parameters.at("do"));
  misbehave(what);
  if (what == "leave a child")
    return leave_child();
  if (what == "leave the group")
    return leave_group();
  if (what == "flood")
    return flood();
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
  return {};
}

class unruly_instance final : public single_instance {
 public:
  using single_instance::run;
  expected<inference_response> run(const inference_request& request, const cancel_token&) override {
    inference_response response{{}, act(request)};
    if (request.parameters.at("do") == parameter{std::string{"give wrong shapes"}})
      response.outputs.push_back({"out", datatype::fp32, {1000}, buffer::take(std::string(4, 'x'))});
    return response;
  }
};

class unruly_model final : public loaded_model {
 public:
  explicit unruly_model(parameter_map options) : options_(std::move(options)) {}

  const signature& describe() const override {
    in("describe");
    return signature_;
  }
  expected<std::unique_ptr<instance>> make_instance() override {
    in("make_instance");
    return std::unique_ptr<instance>{std::make_unique<unruly_instance>()};
  }
  inference_request warm_up() const override {
    in("warm_up");
    return {{}, {{"do", std::string{"print"}}}};
  }
  batch_policy batching() const override {
    in("batching");
    return {};
  }

  /// Called in each function, under its name.
  void in(const std::string& function) const {
    const auto text = [&](const char* name) { return std::get<std::string>(options_.at(name)); };
    if (options_.count("in") > 0 && text("in") == function)
      misbehave(text("how"));
  }

 private:
  const parameter_map options_;
  signature signature_;
};

class unruly final : public skillset {
 public:
  std::string_view name() const override { return "unruly"; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return {{"in", std::string{}, {}}, {"how", std::string{}, {}}}; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token&) override {
    auto model = std::make_unique<unruly_model>(settings.options);
    model->in("load");
    return std::unique_ptr<loaded_model>{std::move(model)};
  }
};

}  // namespace
}  // namespace troupe

TROUPE_SKILLSET_ENTRY() {
  const char* const how = std::getenv("TROUPE_UNRULY");
  if (how && std::string_view{how} == "hang")
    troupe::hang();
  if (how && std::string_view{how} == "nothing")
    return nullptr;
  if (how && std::string_view{how} == "throw")
    throw std::runtime_error{"no licence"};
  static troupe::unruly skills;
  return &skills;
}
