#include "actors/concurrency/log.hpp"
#include "actors/serving/model_folder.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "skillsets/identity/identity.hpp"
#include "skillsets/sdk/conformance/conformance.hpp"
#include "skillsets/triton_examples/triton_examples.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace troupe {
namespace {

namespace kit = conformance;

enum exit_code { exit_passed = 0, exit_failed = 1, exit_usage = 64, exit_missing = 66, exit_internal = 70 };

struct arguments {
  std::string skillset;
  std::string model;
  std::string isolation;
  std::vector<std::string> only;
  std::string json;
  std::chrono::seconds limit{600};
  kit::options how;
};

int fail(const error& why, int code) {
  std::cerr << "troupe-conformance: " + to_string(why) + "\n" << std::flush;
  return code;
}

/// Ends the program when a check never does: nothing else can end work in this process that ignores its cancellation.
class watchdog {
 public:
  watchdog(std::string name, std::chrono::seconds limit)
      : name_(std::move(name)), timer_([this, limit](const std::stop_token& over) {
          std::mutex mutex;
          std::unique_lock lock{mutex};
          std::condition_variable_any changed;
          if (changed.wait_for(lock, over, limit, [] { return false; }) || over.stop_requested())
            return;
          std::cout << "failed   " << name_ << "  has not ended after " << limit.count() << " s\n" << std::flush;
          _exit(exit_failed);
        }) {}

 private:
  const std::string name_;
  std::jthread timer_;
};

expected<std::vector<const kit::check*>> chosen(const std::vector<std::string>& names) {
  std::vector<const kit::check*> checks;
  for (const auto& each : kit::all_checks())
    if (names.empty() || std::find(names.begin(), names.end(), each.name) != names.end())
      checks.push_back(&each);
  for (const auto& name : names)
    if (std::none_of(checks.begin(), checks.end(), [&](const auto* each) { return each->name == name; }))
      return make_error(status_code::invalid_argument, "there is no check '" + name + "'", "--list tells them");
  return checks;
}

int list() {
  for (const auto& each : kit::all_checks())
    std::cout << each.name << std::string(25 - std::min<std::size_t>(24, each.name.size()), ' ') << each.what << "\n";
  return exit_passed;
}

expected<void> write(const std::string& file, const std::string& text) {
  if (file == "-") {
    std::cout << text << std::flush;
    return {};
  }
  if (std::ofstream out{file}; !(out << text << std::flush))
    return make_error(status_code::failed_precondition, "cannot write '" + file + "'", "name another file");
  return {};
}

std::filesystem::path beside_this(const char* what) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / what).lexically_normal();
}

int run(const arguments& args) {
  const auto checks = chosen(args.only);
  if (!checks)
    return fail(checks.error(), exit_usage);
  const auto folder = args.skillset.empty() ? beside_this("../lib/troupe/skillsets")
                                            : std::filesystem::absolute(args.skillset).parent_path();
  skillset_catalog catalog{{folder}, beside_this("troupe-host")};
  catalog.add(make_identity_skillset());
  catalog.add(make_triton_examples_skillset());
  const auto settings = args.isolation.empty() ? "" : "isolation = \"" + args.isolation + "\"";
  const auto model = read_model_folder(std::filesystem::absolute(args.model).lexically_normal(), catalog, settings);
  if (!model)
    return fail(model.error(), exit_missing);
  if (const auto name = std::filesystem::path{args.skillset}.stem(); !name.empty() && name != model->skills->name())
    return fail(make_error(status_code::invalid_argument,
                           "model '" + model->name + "' is of skillset '" + std::string{model->skills->name()} +
                               "', and not of '" + name.string() + "'",
                           "name that skillset in its model.toml"),
                exit_usage);
  if (const auto verified = verify_files(*model, {}); !verified)
    return fail(verified.error(), exit_missing);
  kit::subject whom{*model->skills, settings_of(*model), args.how};
  auto& people = args.json == "-" ? std::cerr : std::cout;
  people << "skillset " << model->skills->name() << ", model " << model->name << ", "
         << (model->isolation == isolation_kind::process ? "in processes of its own" : "in this process") << ", seed "
         << args.how.seed << "\n"
         << std::flush;
  std::vector<kit::result> results;
  for (const auto* each : *checks) {
    const watchdog watch{std::string{each->name}, args.limit};
    results.push_back(kit::run(*each, whom));
    people << kit::to_text(results.back()) << std::flush;
  }
  people << kit::count(results) << std::flush;
  if (!args.json.empty())
    if (const auto written = write(args.json, kit::to_json(results)); !written)
      return fail(written.error(), exit_usage);
  return kit::all_passed(results) ? exit_passed : exit_failed;
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  using namespace troupe;
  arguments args;
  bool lists = false, draws_lots = false;
  std::int64_t patience_ms = 250, grace_ms = 2000;
  args.how.seed = std::random_device{}();
  CLI::App app{"Holds a skillset against the contract that it is written for, with one of its models."};
  app.add_option("--skillset", args.skillset, "The plug-in: a shared object; one of Troupe's own without it");
  auto* const model = app.add_option("--model", args.model, "The model's folder, with its model.toml");
  app.add_option("--isolation", args.isolation, "Where its instances run, in place of what model.toml says")
      ->check(CLI::IsMember({"thread", "process"}));
  app.add_option("--only", args.only, "A check; may be given again");
  app.add_option("--seed", args.how.seed, "For everything that is drawn by lot; the report tells it");
  app.add_option("--inputs", args.how.random_inputs, "Random inputs")->capture_default_str();
  app.add_option("--cycles", args.how.cycles, "Times that it is loaded and unloaded")->capture_default_str();
  app.add_option("--cancellations", args.how.cancellations, "Cancellations at random moments")->capture_default_str();
  app.add_option("--instances", args.how.instances, "Instances that work at once")->capture_default_str();
  app.add_option("--tolerance", args.how.tolerance, "How far elements may be apart, as a part of the largest")
      ->capture_default_str();
  app.add_option("--patience-ms", patience_ms, "How long a random input may take before it is cancelled")
      ->capture_default_str();
  app.add_option("--grace-ms", grace_ms, "How long work may go on after it was cancelled")->capture_default_str();
  app.add_flag("--draws-lots", draws_lots, "Equal requests may have different answers");
  app.add_option("--limit-s", args.limit, "How long a check may take")->default_str("600");
  app.add_option("--json", args.json, "Write the report there as JSON; - is the standard output");
  auto* const list_checks = app.add_flag("--list", lists, "Say what is checked, and end");
  model->excludes(list_checks);
  app.set_version_flag("--version", "troupe-conformance " TROUPE_VERSION);
  app.footer(
      "Exit codes: 0 it keeps the contract; 1 it does not; 64 wrong arguments; 66 the skillset or the model is\n"
      "not there, or can't be used; 70 the program failed.");
  try {
    app.parse(argc, argv);
    if (!lists && args.model.empty())
      throw CLI::RequiredError{"--model"};
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? exit_passed : exit_usage;
  }
  args.how.deterministic = !draws_lots;
  args.how.patience = std::chrono::milliseconds{patience_ms};
  args.how.cancel_grace = std::chrono::milliseconds{grace_ms};
  start_log(log_format::text, spdlog::level::warn);
  try {
    return lists ? list() : run(args);
  } catch (const std::exception& e) {
    return fail(make_error(status_code::internal, e.what()), exit_internal);
  }
}
