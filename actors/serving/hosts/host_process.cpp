#include "actors/serving/hosts/host_process.hpp"

#include "actors/concurrency/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <optional>
#include <system_error>
#include <utility>

namespace troupe {
namespace {

constexpr int host_socket = 3;
constexpr std::size_t longest_line = 1024;
constexpr std::size_t most_last_words = 3;
constexpr std::size_t most_bytes_a_second = 64 << 10;  // of output that goes into the log

error cannot(const std::string& what, int code) {
  return make_error(status_code::unavailable, "cannot " + what + ": " + std::generic_category().message(code),
                    "see what the system lacks: processes, descriptors or memory");
}

/// The node's environment, in which malloc asks for huge pages unless somebody says what it is to do: a model's weights
/// are read from end to end for every token, and a language model then needs a sixth less time.
std::vector<char*> environment() {
  static char huge_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
  std::vector<char*> all;
  for (auto** each = environ; *each; ++each)
    all.push_back(*each);
  if (!std::getenv("GLIBC_TUNABLES"))
    all.push_back(huge_pages);
  all.push_back(nullptr);
  return all;
}

/// What a child is to be like; released with this.
class spawn_plan {
 public:
  spawn_plan() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    // The node blocks and handles signals for itself alone.
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~spawn_plan() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  spawn_plan(const spawn_plan&) = delete;
  spawn_plan& operator=(const spawn_plan&) = delete;

  int run(pid_t& child, const host_command& command, int socket, int output) {
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, output, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files_, socket, host_socket);
    std::vector<char*> words{const_cast<char*>(command.program.c_str())};
    for (const auto& word : command.arguments)
      words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const auto variables = environment();
    return posix_spawn(&child, command.program.c_str(), &files_, &attributes_, words.data(), variables.data());
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

std::string how(int status) {
  if (WIFSIGNALED(status))
    return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

expected<std::unique_ptr<host_process>> host_process::start(const host_command& command, const std::string& whose) {
  std::array<int, 2> sockets{}, pipes{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return cannot("make a socket for a host", errno);
  if (pipe2(pipes.data(), O_CLOEXEC) != 0) {
    const auto code = errno;
    close(sockets[0]);
    close(sockets[1]);
    return cannot("make a pipe for a host", code);
  }
  fcntl(sockets[0], F_SETFL, O_NONBLOCK);
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  std::unique_ptr<host_process> process{new host_process{sockets[0], pipes[0], whose}};
  // By the thread that follows it: a host asks the kernel to kill it when the thread is gone that started it.
  std::promise<int> spawned;
  auto failed = spawned.get_future();
  process->follower_ = std::thread{[&, self = process.get(), spawned = std::move(spawned)]() mutable {
    const int code = self->spawn(command, sockets[1], pipes[1]);
    spawned.set_value(code);
    if (code == 0)
      self->follow();
  }};
  const int code = failed.get();
  close(sockets[1]);
  close(pipes[1]);
  if (code != 0)
    return cannot("start '" + command.program.string() + "'", code);
  log_event(spdlog::level::debug, "host started", {{"model", whose}, {"pid", process->id_}});
  return process;
}

host_process::host_process(int socket, int output, std::string whose)
    : socket_(socket), output_(output), whose_(std::move(whose)) {}

/// What went wrong, as errno has it; 0: it runs.
int host_process::spawn(const host_command& command, int socket, int output) {
  if (const int failed = spawn_plan{}.run(id_, command, socket, output)) {
    id_ = 0;
    return failed;
  }
  handle_ = static_cast<int>(syscall(SYS_pidfd_open, id_, 0));
  if (handle_ >= 0)
    return 0;
  const int code = errno;
  ::kill(-id_, SIGKILL);
  waitpid(id_, nullptr, 0);
  id_ = 0;
  return code;
}

host_process::~host_process() {
  kill();
  follower_.join();
  close(socket_);
  close(output_);
  if (handle_ >= 0)
    close(handle_);
}

void host_process::kill() noexcept {
  signal(SIGKILL);
}

/// To the whole group, while its id is its own.
void host_process::signal(int number) noexcept {
  const std::lock_guard lock{mutex_};
  if (!ended_ && id_ > 0)
    ::kill(-id_, number);
}

void host_process::watch(std::function<void(error)> on_end) {
  std::optional<error> ended;
  {
    const std::lock_guard lock{mutex_};
    ended = ended_;
    if (!ended)
      on_end_ = std::move(on_end);
  }
  if (ended)
    on_end(*ended);
}

void host_process::ask_to_end() noexcept {
  signal(SIGTERM);
}

void host_process::wait(std::chrono::milliseconds most) const noexcept {
  pollfd ending{handle_, POLLIN, 0};
  static_cast<void>(poll(&ending, 1, static_cast<int>(most.count())));
}

error host_process::end() {
  for (;;) {
    {
      const std::lock_guard lock{mutex_};
      if (ended_)
        return *ended_;
    }
    kill();
    wait(std::chrono::milliseconds{10});
  }
}

/// Reads what it says, until it has ended.
void host_process::follow() {
  for (bool open = true;;) {
    std::array<pollfd, 2> what{pollfd{handle_, POLLIN, 0}, pollfd{open ? output_ : -1, POLLIN, 0}};
    if (poll(what.data(), what.size(), -1) < 0)
      continue;
    if (what[1].revents & POLLIN)
      read_output();
    else if (what[1].revents)
      open = false;
    if (what[0].revents) {
      read_output();
      return reap();
    }
  }
}

void host_process::read_output() {
  std::array<char, 4096> bytes{};
  // One that never stops talking must not keep its end from being seen.
  for (int i = 0; i != 64; ++i) {
    const auto n = read(output_, bytes.data(), bytes.size());
    if (n <= 0)
      return;
    for (const char c : std::string_view{bytes.data(), static_cast<std::size_t>(n)})
      if (c == '\n')
        say(std::exchange(line_, {}));
      else if (line_.size() < longest_line)
        line_ += c;
  }
}

void host_process::say(std::string line) {
  {
    const std::lock_guard lock{mutex_};
    last_words_.push_back(line);
    if (last_words_.size() > most_last_words)
      last_words_.pop_front();
  }
  const auto now = std::chrono::steady_clock::now();
  if (now - second_ > std::chrono::seconds{1}) {
    if (said_ > most_bytes_a_second)
      log_event(spdlog::level::warn, "host says too much, some of it is left out",
                {{"model", whose_}, {"pid", id_}, {"bytes", said_}});
    second_ = now;
    said_ = 0;
  }
  said_ += line.size() + 1;
  if (said_ <= most_bytes_a_second)
    log_event(spdlog::level::info, "host says", {{"model", whose_}, {"pid", id_}, {"line", line}});
}

void host_process::reap() {
  if (!line_.empty())
    say(std::exchange(line_, {}));
  int status = 0;
  std::function<void(error)> on_end;
  error why;
  {
    const std::lock_guard lock{mutex_};
    // What it left behind in its group goes with it; the id is its own until it is reaped.
    ::kill(-id_, SIGKILL);
    while (waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    auto cause = "the host process of model '" + whose_ + "' " + how(status);
    for (const auto& words : last_words_)
      cause += (&words == &last_words_.front() ? ", and its last words were: " : " / ") + words;
    why = make_error(status_code::unavailable, std::move(cause), "try again; see the node's log");
    ended_ = why;
    on_end = std::move(on_end_);
  }
  log_event(spdlog::level::debug, "host ended", {{"model", whose_}, {"pid", id_}, {"how", how(status)}});
  if (on_end)
    on_end(why);
}

}  // namespace troupe
