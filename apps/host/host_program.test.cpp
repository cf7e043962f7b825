#include "skillsets/sdk/host/exit_code.hpp"
#include "skillsets/sdk/host/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace troupe {
namespace {

using host::wire::FromHost;
using testing::HasSubstr;
using testing_support::elements;
using testing_support::node_side;
using testing_support::socket_pair;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::string contents(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

pid_t spawn(const std::vector<std::string>& args, int socket, const std::string& output, const std::string& errors) {
  std::vector<char*> argv{const_cast<char*>(TROUPE_HOST)};
  for (const auto& arg : args)
    argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (socket >= 0)
    posix_spawn_file_actions_adddup2(&actions, socket, 3);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, TROUPE_HOST, &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

/// The program, and the node's side of its conversation.
class running_host {
 public:
  explicit running_host(const std::vector<std::string>& args, bool with_socket = true)
      : pid_(spawn(args, with_socket ? sockets_[1] : -1, folder_ + "/out", folder_ + "/err")) {
    sockets_.close_end(1);
  }

  ~running_host() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      wait();
    }
    unlink((folder_ + "/out").c_str());
    unlink((folder_ + "/err").c_str());
    rmdir(folder_.c_str());
  }

  void close() { sockets_.close_end(0); }
  void signal(int number) const { kill(pid_, number); }

  /// Its wait status, once it has ended.
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  /// The code that it exits with.
  host_exit exit() {
    const auto status = wait();
    EXPECT_TRUE(WIFEXITED(status)) << status;
    return static_cast<host_exit>(WEXITSTATUS(status));
  }

  host_exit close_and_exit() {
    close();
    return exit();
  }

  std::string output() const { return contents(folder_ + "/out"); }
  std::string errors() const { return contents(folder_ + "/err"); }

 private:
  static std::string make_folder() {
    std::string name{"/tmp/troupe-test-XXXXXX"};
    return mkdtemp(name.data());
  }

  const std::string folder_ = make_folder();
  socket_pair sockets_;
  pid_t pid_;

 public:
  node_side node{sockets_[0]};
};

/// A model of triton_examples that sleeps.
model_settings sleeping(bool stubborn) {
  return testing_support::named(
      "sleep",
      {{"task", std::string{"sleep"}}, {"datatype", std::string{"ANY"}}, {"stubborn", stubborn}, {"add_id", false}});
}

inference_request sleep_for_ms(std::uint32_t time) {
  return {{elements<std::uint32_t>("DELAY", datatype::uint32, {time})}, {}};
}

constexpr std::uint32_t for_ever = 3'600'000;

/// A host of the plug-in that does what it is told, loaded.
class unruly_host : public running_host {
 public:
  explicit unruly_host(std::vector<std::string> more = {}) : running_host(arguments(std::move(more))) {
    node.next();
    EXPECT_TRUE(node.load().has_loaded());
  }

  /// What came of it: an Answer, or a Done with a failure.
  FromHost act(const std::string& what, parameter_map parameters = {}) {
    parameters["do"] = what;
    node.run({{{}, std::move(parameters)}});
    auto result = node.next();
    if (result.has_answer())
      node.next();
    return result;
  }

  parameter_map parameters(const std::string& what) {
    const auto message = std::make_shared<FromHost>(act(what));
    return host::from_wire(message->answer().response(), message)->parameters;
  }

 private:
  static std::vector<std::string> arguments(std::vector<std::string> more) {
    if (std::find(more.begin(), more.end(), "--exec") == more.end())
      more.insert(more.end(), {"--plugin", TROUPE_UNRULY});
    return more;
  }
};

/// What a host may do is the same for its own code and for a program that it becomes.
std::vector<std::vector<std::string>> in_both_ways(std::vector<std::string> more = {}) {
  auto becoming = more;
  becoming.insert(becoming.end(), {"--exec", TROUPE_UNRULY_PROGRAM});
  return {more, becoming};
}

TEST(host_program, says_hello_for_what_is_built_in) {
  for (const std::string name : {"identity", "triton_examples"}) {
    running_host host{{"--builtin", name}};
    const auto hello = host.node.next().hello();
    EXPECT_EQ(hello.contract(), 1u);
    EXPECT_EQ(hello.name(), name);
    EXPECT_EQ(host.close_and_exit(), host_exit::ok);
    EXPECT_EQ(host.errors(), "");
  }
}

TEST(host_program, loads_runs_and_cancels) {
  running_host host{{"--builtin", "triton_examples"}};
  host.node.next();
  ASSERT_TRUE(host.node.load(sleeping(false)).has_loaded());
  host.node.run({sleep_for_ms(1)});
  const auto answer = host.node.next().answer();
  EXPECT_EQ(elements<std::uint32_t>(answer.response().outputs(0)), std::vector<std::uint32_t>{1});
  EXPECT_TRUE(host.node.next().has_done());
  host.node.run({sleep_for_ms(for_ever), sleep_for_ms(1)});
  host.node.cancel(0);
  EXPECT_EQ(host.node.next().answer().item(), 1u);
  EXPECT_TRUE(host.node.next().has_done());
  host.node.run({sleep_for_ms(for_ever)});
  host.node.cancel();
  EXPECT_TRUE(host.node.next().has_done());
  EXPECT_EQ(host.close_and_exit(), host_exit::ok);
}

TEST(host_program, refuses_a_stateful_model) {
  running_host host{{"--builtin", "triton_examples"}};
  host.node.next();
  auto settings = sleeping(false);
  settings.options["task"] = std::string{"accumulate"};
  EXPECT_EQ(host.node.load(settings).load_failed().code(), static_cast<std::uint32_t>(status_code::unimplemented));
}

TEST(host_program, ends_when_the_socket_closes_whatever_runs) {
  running_host host{{"--builtin", "triton_examples"}};
  host.node.next();
  ASSERT_TRUE(host.node.load(sleeping(true)).has_loaded());
  host.node.run({sleep_for_ms(for_ever)});
  host.node.cancel();
  EXPECT_EQ(host.close_and_exit(), host_exit::ok);
}

TEST(host_program, ends_when_the_socket_closes_while_the_plug_in_opens) {
  setenv("TROUPE_UNRULY", "hang", 1);
  running_host host{{"--plugin", TROUPE_UNRULY}};
  unsetenv("TROUPE_UNRULY");
  EXPECT_EQ(host.close_and_exit(), host_exit::ok);
}

TEST(host_program, dies_with_whoever_started_it) {
  socket_pair sockets, tell;
  const auto parent = fork();
  if (parent == 0) {
    spawn({"--builtin", "identity"}, sockets[1], "/dev/null", "/dev/null");
    char byte = 0;
    _exit(recv(tell[1], &byte, 1, 0) == 1 ? 0 : 1);
  }
  sockets.close_end(1);
  node_side node{sockets[0]};
  EXPECT_TRUE(node.next().has_hello());
  ASSERT_EQ(send(tell[0], "x", 1, 0), 1);
  EXPECT_TRUE(node.gone());
  waitpid(parent, nullptr, 0);
}

TEST(host_program, a_crash_is_its_own) {
  unruly_host host;
  host.node.run({{{}, {{"do", std::string{"crash"}}}}});
  EXPECT_TRUE(host.node.gone());
  const auto status = host.wait();
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
  EXPECT_FALSE(WCOREDUMP(status));
}

TEST(host_program, a_node_that_breaks_the_contract_ends_it) {
  running_host host{{"--builtin", "identity"}};
  host.node.next();
  host.node.run({{}});
  EXPECT_EQ(host.exit(), host_exit::contract);
  EXPECT_THAT(host.errors(), HasSubstr("contract"));
}

TEST(host_program, has_no_network) {
  for (const auto& args : in_both_ways()) {
    unruly_host host{args};
    const auto made = host.parameters("sockets");
    EXPECT_EQ(made.at("inet"), parameter{std::int64_t{EACCES}});
    EXPECT_EQ(made.at("inet6"), parameter{std::int64_t{EACCES}});
    EXPECT_EQ(made.at("netlink"), parameter{std::int64_t{EACCES}});
    EXPECT_EQ(made.at("ring"), parameter{std::int64_t{EACCES}});
    EXPECT_EQ(made.at("unix"), parameter{std::int64_t{0}});
  }
}

TEST(host_program, has_a_network_when_it_may) {
  for (const auto& args : in_both_ways({"--network"})) {
    unruly_host host{args};
    EXPECT_EQ(host.parameters("sockets").at("inet"), parameter{std::int64_t{0}});
  }
}

TEST(host_program, stays_in_its_process_group_with_all_that_it_starts) {
  for (const auto& more : std::vector<std::vector<std::string>>{{}, {"--network"}}) {
    unruly_host host{more};
    const auto left = host.parameters("leave the group");
    EXPECT_EQ(left.at("session"), parameter{std::int64_t{EPERM}});
    EXPECT_EQ(left.at("group"), parameter{std::int64_t{EPERM}});
  }
}

TEST(host_program, has_as_much_memory_as_it_may) {
  if (sanitized)
    GTEST_SKIP() << "a sanitizer's own memory is beyond every bound";
  for (const auto& args : in_both_ways({"--memory-mib", "256"})) {
    unruly_host bound{args};
    EXPECT_TRUE(bound.act("allocate", {{"mib", std::int64_t{16}}}).has_answer());
    EXPECT_THAT(bound.act("allocate", {{"mib", std::int64_t{512}}}).done().failure().cause(), HasSubstr("bad_alloc"));
    EXPECT_TRUE(bound.act("allocate", {{"mib", std::int64_t{16}}}).has_answer());
  }
  for (const auto& args : in_both_ways()) {
    unruly_host free{args};
    EXPECT_TRUE(free.act("allocate", {{"mib", std::int64_t{512}}}).has_answer());
  }
}

TEST(host_program, has_as_many_files_open_as_it_may) {
  if (sanitized)
    GTEST_SKIP() << "a sanitizer looks at memory through a pipe, for which nothing is left";
  for (const auto& args : in_both_ways({"--open-files", "32"})) {
    unruly_host host{args};
    const auto opened = std::get<std::int64_t>(host.parameters("open").at("opened"));
    EXPECT_GT(opened, 16);
    EXPECT_LT(opened, 32);
  }
}

TEST(host_program, what_is_printed_goes_to_stderr) {
  for (const auto& args : in_both_ways()) {
    unruly_host host{args};
    EXPECT_TRUE(host.act("print").has_answer());
    EXPECT_EQ(host.close_and_exit(), host_exit::ok);
    EXPECT_EQ(host.output(), "");
    EXPECT_THAT(host.errors(), HasSubstr("printed\nstreamed\n"));
  }
}

/// What the unruly skillset is told of itself in a process that inherits a stray descriptor and a blocked signal.
parameter_map told(std::vector<std::string> args) {
  sigset_t terminate, before;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  sigprocmask(SIG_BLOCK, &terminate, &before);
  const int stray = fcntl(2, F_DUPFD, 57);
  unruly_host host{std::move(args)};
  close(stray);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return host.parameters("tell");
}

TEST(host_program, keeps_nothing_that_it_inherited) {
  for (const auto& args : in_both_ways()) {
    const auto what = told(args);
    if (!sanitized) {
      EXPECT_EQ(what.at("open"), parameter{std::string{"0 1 2 3"}});
    }
    EXPECT_EQ(what.at("core"), parameter{std::uint64_t{0}});
    EXPECT_EQ(what.at("no_new_privileges"), parameter{std::int64_t{1}});
    EXPECT_EQ(what.at("dumpable"), parameter{std::int64_t{1}});
    EXPECT_EQ(what.at("death_signal"), parameter{std::int64_t{SIGKILL}});
    // A program that is become gets it by inheriting it.
    EXPECT_EQ(what.at("socket_is_inherited"), parameter{args.size() > 0});
    EXPECT_EQ(what.at("input"), parameter{std::int64_t{0}});
    EXPECT_EQ(what.at("terminate_is_blocked"), parameter{false});
  }
}

TEST(host_program, an_interrupt_is_the_nodes_to_handle) {
  for (const auto& args : in_both_ways()) {
    unruly_host host{args};
    EXPECT_TRUE(host.act("interrupt").has_answer());
    host.signal(SIGINT);
    host.signal(SIGPIPE);
    EXPECT_TRUE(host.act("print").has_answer());
    host.signal(SIGTERM);
    const auto status = host.wait();
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
  }
}

TEST(host_program, becomes_a_program_with_its_arguments_in_its_directory) {
  running_host host{{"--directory", "/", "--exec", "sh", "-c", "pwd; echo \"$@\"; exit 7", "sh", "--plugin", "x y"}};
  const auto status = host.wait();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(host.errors(), "/\n--plugin x y\n");
}

/// One line, with what is wrong.
void expect_refused(running_host& host, host_exit how, const std::string& why) {
  EXPECT_EQ(host.exit(), how);
  const auto said = host.errors();
  EXPECT_THAT(said, HasSubstr(why));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST(host_program, says_why_it_does_not_start) {
  running_host missing{{"--plugin", "/nowhere/x.so"}};
  expect_refused(missing, host_exit::missing, "there is no plug-in '/nowhere/x.so'");
  running_host program{{"--plugin", TROUPE_HOST}};
  expect_refused(program, host_exit::internal, "has no skillset: it has no note of Troupe");
  running_host other{{"--plugin", TROUPE_NO_SKILLSET}};
  expect_refused(other, host_exit::internal, "has no skillset: it has no note of Troupe");
  setenv("TROUPE_UNRULY", "nothing", 1);
  running_host nothing{{"--plugin", TROUPE_UNRULY}};
  unsetenv("TROUPE_UNRULY");
  expect_refused(nothing, host_exit::internal, "gives no skillset");
  setenv("TROUPE_UNRULY", "throw", 1);
  running_host throwing{{"--plugin", TROUPE_UNRULY}};
  unsetenv("TROUPE_UNRULY");
  expect_refused(throwing, host_exit::internal, "gives no skillset: no licence");
  running_host no_program{{"--exec", "/nowhere/program"}};
  expect_refused(no_program, host_exit::missing, "cannot start program '/nowhere/program': No such file");
  running_host no_executable{{"--exec", TROUPE_NO_SKILLSET + std::string{"/x"}}};
  expect_refused(no_executable, host_exit::internal, "cannot start program");
  running_host nowhere{{"--directory", "/nowhere", "--exec", "true"}};
  expect_refused(nowhere, host_exit::missing, "cannot work in '/nowhere': No such file");
  running_host alone{{"--builtin", "identity"}, false};
  expect_refused(alone, host_exit::usage, "descriptor 3 is no stream socket");
}

TEST(host_program, takes_no_wrong_arguments) {
  for (const auto& args : std::vector<std::vector<std::string>>{{},
                                                                {"--builtin", "text_embedding"},
                                                                {"--builtin", "identity", "--plugin", "x.so"},
                                                                {"--exec"},
                                                                {"--exec", ""},
                                                                {"--builtin", "identity", "--exec", "true"},
                                                                {"--builtin", "identity", "--directory", "/"},
                                                                {"--builtin", "identity", "--memory-mib", "0"},
                                                                {"--builtin", "identity", "--open-files", "many"}}) {
    running_host host{args};
    EXPECT_EQ(host.exit(), host_exit::usage);
    EXPECT_NE(host.errors(), "");
  }
}

}  // namespace
}  // namespace troupe
