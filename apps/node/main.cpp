#include "actors/concurrency/log.hpp"
#include "apps/node/exit_code.hpp"
#include "apps/node/node_config.hpp"
#include "apps/node/node_process.hpp"

#include <CLI/CLI.hpp>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

namespace troupe {
namespace {

struct arguments {
  std::string config;
  std::string listen;
  std::optional<std::string> http_listen;
  std::string log_level;
  std::string log_format;
  std::string ready_file;
};

expected<node_config> configure(const arguments& args) {
  auto config = read_node_config(args.config, share_folder());
  if (!config)
    return config;
  if (!args.listen.empty())
    config->grpc.listen = args.listen;
  if (args.http_listen)
    config->http.listen = *args.http_listen;
  if (!config->http.listen.empty())
    if (const auto right = check(config->http); !right)
      return right.error();
  if (!args.log_level.empty())
    config->log_level = *parse_log_level(args.log_level);
  if (!args.log_format.empty())
    config->format = args.log_format == "json" ? log_format::json : log_format::text;
  return config;
}

/// A connection is a descriptor, and so is much else: as many as the system allows.
void allow_open_files() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0)
    return;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
}

/// How whoever started this program as `self` calls the one beside it.
std::string command_line_beside(const std::string& self) {
  return std::filesystem::path{self}.replace_filename("troupe").string();
}

int run(const arguments& args, const std::string& self) {
  const auto config = configure(args);
  if (!config)
    return fail(config.error(), config.error().code == status_code::not_found ? exit_missing : exit_configuration);
  // A reader of our output that goes away must not take the node with it.
  std::signal(SIGPIPE, SIG_IGN);
  allow_open_files();
  start_log(config->format, config->log_level);
  return node_process{*config, args.ready_file, command_line_beside(self)}.run();
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  troupe::arguments args;
  CLI::App app{"A node that runs model work under supervision."};
  app.add_option("--config", args.config, "Settings (default: built in, see share/troupe/troupe.toml)");
  app.add_option("--listen", args.listen, "host:port for gRPC; port 0 picks a free one");
  app.add_option("--http-listen", args.http_listen, "The same for HTTP; '' for none");
  app.add_option("--log-level", args.log_level)
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}));
  app.add_option("--log-format", args.log_format)->check(CLI::IsMember({"text", "json"}));
  app.add_option("--ready-file", args.ready_file, "Write the address here, as JSON, once the node is ready");
  app.set_version_flag("--version", "troupe-node " TROUPE_VERSION);
  app.footer(
      "Exit codes: 0 stopped in order; 64 wrong arguments; 65 a corrupt model file; 66 a missing model or file;\n"
      "69 the port is taken or a device is not there; 70 the node failed; 78 a wrong settings file.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? troupe::exit_ok : troupe::exit_usage;
  }
  try {
    return troupe::run(args, argv[0]);
  } catch (const std::exception& e) {
    return troupe::fail(troupe::make_error(troupe::status_code::internal, e.what()), troupe::exit_internal);
  }
}
