#include "apps/troupe/private_node.hpp"

#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/wait.hpp"
#include "apps/troupe/process_time.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <system_error>
#include <vector>

namespace troupe::cli {
namespace {

constexpr std::chrono::milliseconds between_looks{20};

error system_error(const std::string& what) {
  return make_error(status_code::internal, what + ": " + std::generic_category().message(errno));
}

/// In the child, between fork and exec, where little is allowed.
[[noreturn]] void become(char* const* arguments, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(1);
  // Ctrl-C is for the program that started it, which ends it in order.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(nowhere, STDIN_FILENO);
  dup2(nowhere, STDOUT_FILENO);
  execv(arguments[0], arguments);
  _exit(127);
}

/// Folders as an array of texts, which is the same in JSON. The node has its settings elsewhere, and these are relative
/// to where this program is.
std::string to_toml(const std::vector<std::string>& folders) {
  auto result = nlohmann::json::array();
  for (const auto& folder : folders)
    result.push_back(std::filesystem::absolute(folder).string());
  return result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Of those that the process has waited for, to the clock tick: `cutime` and `cstime` of proc(5).
std::chrono::nanoseconds cpu_time_of_ended_children(pid_t process) {
  constexpr int fields_before = 13;  // from the state, which follows the name in parentheses
  std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
  file.ignore(std::numeric_limits<std::streamsize>::max(), ')');
  std::string other;
  for (int i = 0; i != fields_before; ++i)
    file >> other;
  std::int64_t user = 0;
  std::int64_t system = 0;
  file >> user >> system;
  return (user + system) * std::chrono::nanoseconds{std::chrono::seconds{1}} / sysconf(_SC_CLK_TCK);
}

}  // namespace

expected<std::unique_ptr<private_node>> private_node::start(const std::filesystem::path& folder,
                                                            const std::vector<std::string>& skillsets,
                                                            const cancel_token& token) {
  auto pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    return system_error("cannot make a temporary folder");
  std::unique_ptr<private_node> node{new private_node{pattern}};
  if (const auto launched = node->launch(folder, skillsets); !launched)
    return launched.error();
  if (const auto ready = node->await_ready(token); !ready)
    return ready.error();
  return node;
}

private_node::~private_node() {
  if (process_ > 0) {
    kill(process_, SIGTERM);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(files_, ignored);
}

expected<void> private_node::launch(const std::filesystem::path& model, const std::vector<std::string>& skillsets) {
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path() / "troupe-node";
  if (!std::filesystem::exists(program, failed))
    return make_error(status_code::not_found, "there is no '" + program.string() + "'",
                      "build or install troupe-node beside this program");
  std::filesystem::create_directory(files_ / "models", failed);
  std::filesystem::create_directory_symlink(model, files_ / "models" / model.filename(), failed);
  // Nothing is to be refused, and nobody else is to get at it.
  std::ofstream{files_ / "troupe.toml"}
      << "[http]\nlisten = \"\"\n[models]\npath = \"models\"\n[shutdown]\ndrain = \"1s\"\n"
      << "[skillsets]\npaths = " << to_toml(skillsets) << "\n";
  std::vector<std::string> words{program.string(), "--config=" + (files_ / "troupe.toml").string(),
                                 "--listen=127.0.0.1:0", "--log-level=warning",
                                 "--ready-file=" + (files_ / "ready").string()};
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const auto parent = getpid();
  process_ = fork();
  if (process_ == 0)
    become(arguments.data(), parent);
  return process_ < 0 ? system_error("cannot start troupe-node") : expected<void>{};
}

expected<void> private_node::await_ready(const cancel_token& token) {
  const auto file = files_ / "ready";
  std::error_code failed;
  while (!std::filesystem::exists(file, failed)) {
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = 0;
      return make_error(status_code::failed_precondition, "troupe-node could not start", "see what it says above");
    }
    if (const auto waited = wait(sleep_for(between_looks, token), token); !waited)
      return waited.error();
  }
  std::ifstream in{file};
  address_ = nlohmann::json::parse(in).at("grpc").get<std::string>();
  return {};
}

std::chrono::nanoseconds private_node::cpu_time() const {
  constexpr std::chrono::nanoseconds none{};
  auto sum = cpu_time_of(process_).value_or(none) + cpu_time_of_ended_children(process_);
  for (const auto child : children_of(process_))
    sum += cpu_time_of(child).value_or(none);
  return sum;
}

}  // namespace troupe::cli
