#include "apps/host/isolation.hpp"
#include "skillsets/identity/identity.hpp"
#include "skillsets/sdk/host/host_server.hpp"
#include "skillsets/sdk/plugin.hpp"
#include "skillsets/triton_examples/triton_examples.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {
namespace {

struct arguments {
  std::string plugin;
  std::string builtin;
  std::vector<std::string> program;  ///< and its arguments
  std::string directory;
  host_limits limits;
};

host_exit fail(const error& why, host_exit how) {
  // In one piece, or a line of the plug-in could come between.
  std::cerr << "troupe-host: " + to_string(why) + "\n" << std::flush;
  return how;
}

expected<skillset*> find(const arguments& args) {
  static std::unique_ptr<skillset> built_in;
  if (args.builtin.empty())
    return open_plugin(args.plugin);
  built_in = args.builtin == "identity" ? make_identity_skillset() : make_triton_examples_skillset();
  return built_in.get();
}

/// Becomes another program, which speaks host.proto itself. All that this process is isolated by stays with it.
host_exit become(const arguments& args) {
  if (!args.directory.empty() && chdir(args.directory.c_str()) != 0)
    return fail(make_error(status_code::not_found, "cannot work in '" + args.directory + "': " + std::strerror(errno)),
                host_exit::missing);
  if (const auto kept = keep_node_socket(); !kept)
    return fail(kept.error(), host_exit::internal);
  std::vector<char*> words;
  for (const auto& word : args.program)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words.front(), words.data());
  const bool missing = errno == ENOENT;
  return fail(make_error(missing ? status_code::not_found : status_code::failed_precondition,
                         "cannot start program '" + args.program.front() + "': " + std::strerror(errno),
                         "install it, or name another"),
              missing ? host_exit::missing : host_exit::internal);
}

host_exit run(const arguments& args) {
  if (const auto there = check_node_socket(); !there)
    return fail(there.error(), host_exit::usage);
  if (const auto isolated = isolate(args.limits); !isolated)
    return fail(isolated.error(), host_exit::internal);
  if (!args.program.empty())
    return become(args);
  // Before the plug-in is opened: its code may hang from then on, and must not outlive the conversation. Never
  // destroyed: that would close it.
  static host_server server{node_socket};
  const auto skills = find(args);
  if (!skills)
    return fail(skills.error(),
                skills.error().code == status_code::not_found ? host_exit::missing : host_exit::internal);
  return server.serve(**skills);
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  using troupe::host_exit;
  troupe::arguments args;
  CLI::App app{"Runs one instance of a model for troupe-node, which starts it, in a process of its own."};
  auto* const what = app.add_option_group("skillset");
  what->add_option("--plugin", args.plugin, "The shared object of a skillset");
  what->add_option("--builtin", args.builtin, "A skillset of the node itself")
      ->check(CLI::IsMember({"identity", "triton_examples"}));
  auto* const exec =
      what->add_flag("--exec")->description("The last one: the program with the skillset, and its arguments follow");
  app.add_option("--directory", args.directory, "Where the program starts")->needs(exec);
  what->require_option(1);
  app.add_option("--memory-mib", args.limits.memory_mib, "Most memory that it may allocate, touched or not, in MiB")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 40));
  app.add_option("--open-files", args.limits.open_files, "Most files that it may have open")
      ->check(CLI::Range(std::uint64_t{8}, std::uint64_t{1} << 30));
  app.add_flag("--network", args.limits.network, "Let it have sockets other than of this machine (AF_UNIX)");
  app.set_version_flag("--version", "troupe-host " TROUPE_VERSION);
  app.footer(
      "Descriptor 3 is the socket to the node (proto/troupe/host/v1/host.proto). The host ends when that closes.\n"
      "Exit codes: 0 the socket was closed; 64 wrong arguments, or no socket; 65 the node broke the contract;\n"
      "66 the plug-in or the program is not there; 70 it can't be opened or started, or the host failed.");
  // All that follows is the program's, whatever it looks like.
  char** const own_end = std::find(argv, argv + argc, std::string_view{"--exec"});
  if (own_end != argv + argc)
    args.program.assign(own_end + 1, argv + argc);
  try {
    app.parse(own_end == argv + argc ? argc : static_cast<int>(own_end - argv) + 1, argv);
    if (exec->count() > 0 && (args.program.empty() || args.program.front().empty()))
      throw CLI::RequiredError{"a program after --exec"};
  } catch (const CLI::ParseError& e) {
    return static_cast<int>(app.exit(e) == 0 ? host_exit::ok : host_exit::usage);
  }
  auto how = host_exit::internal;
  try {
    how = troupe::run(args);
  } catch (const std::exception& e) {
    troupe::fail(troupe::make_error(troupe::status_code::internal, e.what()), how);
  }
  troupe::host_server::end_process(how);
}
