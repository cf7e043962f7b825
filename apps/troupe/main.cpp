#include "apps/troupe/chat.hpp"
#include "apps/troupe/client.hpp"
#include "apps/troupe/complete.hpp"
#include "apps/troupe/completion.hpp"
#include "apps/troupe/devices.hpp"
#include "apps/troupe/embed.hpp"
#include "apps/troupe/exit_code.hpp"
#include "apps/troupe/infer.hpp"
#include "apps/troupe/interrupt.hpp"
#include "apps/troupe/keys.hpp"
#include "apps/troupe/load.hpp"
#include "apps/troupe/metrics.hpp"
#include "apps/troupe/models.hpp"
#include "apps/troupe/new_skillset.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "apps/troupe/skillsets.hpp"
#include "apps/troupe/status.hpp"
#include "apps/troupe/tune.hpp"
#include "completion_scripts.hpp"
#include "inference/grpc_service.pb.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <csignal>
#include <functional>

namespace troupe::cli {
namespace {

using seconds = std::chrono::duration<double>;

constexpr const char* default_target = "127.0.0.1:8001";
constexpr double default_timeout = 60;

/// The command line, and what it said.
struct arguments {
  CLI::App app{"Talks to a Troupe node, or to any server of the Open Inference Protocol v2 over gRPC."};
  std::string target = default_target;
  double timeout = default_timeout;
  bool json = false;
  double wait = 0;
  embed_options embed;
  chat_options chat;
  complete_options complete;
  infer_options infer;
  load_options load;
  std::string unload;
  load_options restart;
  tune_options tune;
  double tune_seconds = 1;
  new_skillset_options new_skillset;
  new_key_options new_key;
  std::string shell;
  std::function<expected<void>(session&)> command;  ///< what the subcommand does with the node
};

/// An option that is given a number of times, each with a text that `parse` takes apart.
template <class T>
CLI::Option* add_parsed(CLI::App& to, const std::string& name, expected<T> (*parse)(std::string_view),
                        std::vector<T>& results, const std::string& help) {
  const auto keep = [parse, &results](const std::string& text) {
    auto parsed = parse(text);
    if (!parsed)
      throw CLI::ValidationError{parsed.error().message()};
    results.push_back(*std::move(parsed));
  };
  return to
      .add_option_function<std::vector<std::string>>(
          name, [keep](const std::vector<std::string>& texts) { std::for_each(texts.begin(), texts.end(), keep); },
          help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

CLI::Validator duration() {
  return CLI::AsNumberWithUnit{std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
                               CLI::AsNumberWithUnit::Options::CASE_SENSITIVE};
}

std::string wrong_target(const std::string& target) {
  const auto right = check_target(target);
  return right ? std::string{} : right.error().message();
}

void add_embed(arguments& args) {
  auto& embed_command = *args.app.add_subcommand("embed", "Print the vectors of texts, a line each");
  embed_command.add_option("TEXT", args.embed.texts, "Texts; a lone - reads them from standard input, a line each")
      ->required();
  embed_command.add_option("--model", args.embed.model, "The model (default: the only one that embeds texts)");
  embed_command.add_flag("--similarity", args.embed.similarity, "Print how alike the texts are instead");
  embed_command.callback([&] { args.command = [&](session& with) { return embed(with, args.embed); }; });
}

/// What chat and complete have in common.
void add_generation(CLI::App& command, generation_options& options) {
  command.add_option("--temperature", options.temperature, "How freely words are chosen; 0: always the likeliest");
  command.add_option("--max-tokens", options.max_tokens, "Of an answer at most");
  command.add_option("--seed", options.seed, "Answers alike where everything else is alike");
  command.add_option("--stop", options.stop, "The answer ends before this text; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--json-schema", options.json_schema,
                     "The answer is JSON that is valid under this schema: a file, or JSON that begins with {");
  add_parsed(command, "--param", parse_parameter, options.parameters,
             "KEY[:TYPE]=VALUE, a further parameter of the request; may be repeated");
}

void add_chat(arguments& args) {
  auto& command = *args.app.add_subcommand("chat", "Talk with a model");
  command.add_option("MODEL", args.chat.model, "The model (default: the only one that generates text)");
  command.add_option("MESSAGE", args.chat.message,
                     "The only message (default: what is typed, or all of standard input where that is no terminal)");
  command.add_option("--system", args.chat.system, "What the model is told before all");
  add_generation(command, args.chat.generation);
  command.callback([&] { args.command = [&](session& with) { return chat(with, args.chat); }; });
}

void add_complete(arguments& args) {
  auto& command = *args.app.add_subcommand("complete", "Have a model go on with a text");
  command.add_option("MODEL", args.complete.model, "The model")->required();
  command.add_option("TEXT", args.complete.text, "The text; - reads all of standard input")->required();
  add_generation(command, args.complete.generation);
  command.callback([&] { args.command = [&](session& with) { return complete(with, args.complete); }; });
}

void add_infer(arguments& args) {
  auto& infer_command = *args.app.add_subcommand("infer", "Send one request to a model and print its outputs");
  infer_command.add_option("MODEL", args.infer.model, "The model")->required();
  add_parsed(infer_command, "--input", parse_input, args.infer.inputs,
             "NAME[:DATATYPE][SHAPE]=VALUE: JSON, a plain text or number, or @FILE; once for each input");
  infer_command.add_option("--output", args.infer.outputs, "Only this output; may be repeated")->expected(1);
  add_parsed(infer_command, "--param", parse_parameter, args.infer.parameters,
             "KEY[:TYPE]=VALUE, a parameter of the request; may be repeated");
  infer_command.add_option("--model-version", args.infer.version, "The model's version (default: the one there is)");
  infer_command.add_option("--id", args.infer.id, "Names the request in the answer and in the node's log");
  infer_command.callback([&] { args.command = [&](session& with) { return infer(with, args.infer); }; });
}

void add_model_control(arguments& args) {
  auto& load_command = *args.app.add_subcommand("load", "Load a model of the node's repository, or load it again");
  load_command.add_option("MODEL", args.load.model, "The model")->required();
  add_parsed(load_command, "--set", parse_setting, args.load.settings,
             "KEY=VALUE, in place of what its model.toml says, as in batching.max_batch=8; may be repeated");
  load_command.callback([&] { args.command = [&](session& with) { return load(with, args.load); }; });
  auto& unload_command = *args.app.add_subcommand("unload", "Unload a model, once its requests have their answers");
  unload_command.add_option("MODEL", args.unload, "The model")->required();
  unload_command.callback([&] { args.command = [&](session& with) { return unload(with, args.unload); }; });
}

void add_tune(arguments& args) {
  auto& command = *args.app.add_subcommand("tune", "Find the settings that serve a model best on this machine");
  command.add_option("MODEL", args.tune.model, "The model's folder")->required()->check(CLI::ExistingDirectory);
  add_parsed(command, "--input", parse_input, args.tune.inputs,
             "An input of the request to measure with, as 'infer' has it (default: one is made up)");
  command.add_option("--skillsets", args.tune.skillsets, "A folder with the model's skillset; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::ExistingDirectory);
  command.add_option("--in-flight", args.tune.in_flight, "Requests at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command.add_option("--seconds", args.tune_seconds, "For each measurement, as in 2 or 500ms")
      ->transform(duration())
      ->default_str("1")
      ->check(CLI::PositiveNumber);
  command.add_flag("--apply", args.tune.apply, "Write what is proposed into the model's model.toml");
  command.callback([&] {
    args.command = [&](session& with) {
      args.tune.window = seconds{args.tune_seconds};
      return tune(with, args.tune);
    };
  });
}

void add_models(arguments& args) {
  auto& command = *args.app.add_subcommand("models", "List the models, what they take and give, and their state");
  auto& restart = *command.add_subcommand("restart", "Load a model again, such as one whose instances kept failing");
  restart.add_option("MODEL", args.restart.model, "The model")->required();
  restart.callback([&] { args.command = [&](session& with) { return load(with, args.restart); }; });
  // Called after that of its subcommand.
  command.callback([&] {
    if (!args.command)
      args.command = models;
  });
}

void add_questions(arguments& args) {
  add_models(args);
  args.app.add_subcommand("metrics", "Print all that the node counts, as Prometheus reads it")->callback([&] {
    args.command = metrics;
  });
  args.app.add_subcommand("devices", "List the node's devices, what they can do and how busy they are")->callback([&] {
    args.command = devices;
  });
  args.app.add_subcommand("skillsets", "List what models can be made of, with its options, or why it can't be used")
      ->callback([&] { args.command = skillsets; });
  auto& status_command = *args.app.add_subcommand("status", "Say who answers and whether it is ready");
  status_command.add_option("--wait", args.wait, "Wait so long for it, as in 30 or 2m")->transform(duration());
  status_command.callback([&] { args.command = [&](session& with) { return status(with, seconds{args.wait}); }; });
}

void add_skillset(arguments& args) {
  auto& skillset_command = *args.app.add_subcommand("skillset", "Begin a skillset of one's own");
  skillset_command.require_subcommand(1);
  auto& command =
      *skillset_command.add_subcommand("new", "Write a project that builds, passes its tests and is served");
  command.add_option("NAME", args.new_skillset.name, "The skillset's name, such as text_length")->required();
  command.add_option("--folder", args.new_skillset.folder, "The folder to make for it (default: NAME, here)");
  command.callback([&] { args.command = [&](session& with) { return new_skillset(with, args.new_skillset); }; });
}

void add_keys(arguments& args) {
  auto& keys_command = *args.app.add_subcommand("keys", "Give somebody access to a node over HTTP");
  keys_command.require_subcommand(1);
  auto& command = *keys_command.add_subcommand("new", "Make an API key, and the line by which a node knows it");
  command.add_option("NAME", args.new_key.name, "Whose it is, as the node's log calls it")->required();
  command.add_option("--rate", args.new_key.per_minute, "Requests that it may make in a minute (default: any number)")
      ->check(CLI::Range(1u, 1'000'000'000u));
  command
      .add_option("--concurrent", args.new_key.concurrent, "Requests that it may have at once (default: any number)")
      ->check(CLI::Range(1u, 1'000'000'000u));
  command.callback([&] { args.command = [&](session& with) { return new_key(with, args.new_key); }; });
}

void add_completion(arguments& args) {
  auto& command = *args.app.add_subcommand("completion", "Print a script that completes words in your shell");
  command.add_option("SHELL", args.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command.callback([&] {
    args.command = [&](session& with) -> expected<void> {
      with.out.print(args.shell == "bash" ? bash_completion : args.shell == "zsh" ? zsh_completion : fish_completion);
      return {};
    };
  });
}

void describe(arguments& args) {
  auto& app = args.app;
  app.name("troupe");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "troupe " TROUPE_VERSION);
  app.add_option("--target", args.target, "The node, HOST:PORT or unix:PATH")
      ->envname("TROUPE_TARGET")
      ->capture_default_str()
      ->check(CLI::Validator{wrong_target, "", "target"});
  app.add_option("--timeout", args.timeout, "For each call, or each piece of a text, as in 30, 500ms or 2m")
      ->transform(duration())
      ->default_str("60s")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", args.json, "Print for programs: JSON, one document a line");
  add_embed(args);
  add_chat(args);
  add_complete(args);
  add_infer(args);
  add_model_control(args);
  add_tune(args);
  add_questions(args);
  add_skillset(args);
  add_keys(args);
  add_completion(args);
  app.footer(describe_exit_codes());
}

int run(const arguments& args) {
  interrupt signals;
  client node{args.target, seconds{args.timeout}, signals.token()};
  output out{STDOUT_FILENO};
  session with{node, out, signals, args.json};
  const auto done = args.command(with);
  if (!out.flush() && !out.reader_gone()) {
    fail(out.failure());
    return static_cast<int>(exit_code::output);
  }
  if (done)
    return static_cast<int>(exit_code::success);
  const auto code = fail(done.error());
  return static_cast<int>(signals.token().cancelled() ? signals.code() : code);
}

/// The names of the node's models, quickly or not at all: somebody waits at a prompt.
std::vector<std::string> model_names(const std::string& target) {
  constexpr seconds patience{1};
  const auto* from_environment = std::getenv("TROUPE_TARGET");
  const std::string fallback = from_environment ? from_environment : default_target;
  client node{target.empty() ? fallback : target, patience, {}};
  std::vector<std::string> names;
  if (const auto index = node.index())
    for (const auto& model : index->models())
      names.push_back(model.name());
  return names;
}

/// What the completion scripts call with the words of a command line.
constexpr std::string_view completion_word = "__complete";

/// `troupe __complete WORD…`: prints a candidate a line.
int run_completion(const CLI::App& app, int argc, char** argv) {
  output out{STDOUT_FILENO};
  for (const auto& word : completions(app, {argv + 2, argv + argc}, model_names))
    out.print(word + "\n");
  return out.flush() ? 0 : static_cast<int>(exit_code::output);
}

/// CLI11 misses the subcommand before it looks at what stands in its place.
error usage_error(const CLI::App& app, const CLI::ParseError& e) {
  std::string cause = e.what();
  if (const auto words = app.remaining(); app.get_subcommands().empty() && !words.empty())
    cause = std::string{"there is no "} + (words[0].starts_with('-') ? "option" : "command") + " '" + words[0] + "'";
  return make_error(status_code::invalid_argument, cause, "'troupe --help' tells what there is");
}

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that is gone is seen when writing
  arguments args;
  describe(args);
  if (argc > 1 && argv[1] == completion_word)
    return run_completion(args.app, argc, argv);
  try {
    args.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
      return args.app.exit(e);  // --help and --version
    return static_cast<int>(fail_usage(usage_error(args.app, e)));
  }
  return run(args);
}

}  // namespace
}  // namespace troupe::cli

int main(int argc, char** argv) {
  try {
    return troupe::cli::main(argc, argv);
  } catch (const std::exception& e) {
    return static_cast<int>(troupe::cli::fail(troupe::make_error(troupe::status_code::internal, e.what())));
  }
}
