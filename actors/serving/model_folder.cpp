#include "actors/serving/model_folder.hpp"

#include "actors/serving/file_hash.hpp"
#include "actors/serving/settings_reader.hpp"
#include "actors/serving/skillset_catalog.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

namespace troupe {
namespace {

constexpr std::int64_t most_instances = 1024;
constexpr std::int64_t most_items = 1 << 20;
constexpr std::int64_t most_queued = 1 << 20;
constexpr std::int64_t most_sequences = 1 << 20;
constexpr std::int64_t most_priorities = 16;
constexpr std::int64_t most_units = std::int64_t{1} << 40;
constexpr std::int64_t most_threads = 1024;
constexpr std::int64_t most_mebibytes = std::int64_t{1} << 30;
constexpr std::int64_t most_restarts = 1'000'000;
constexpr std::int64_t least_files = 8;
constexpr std::int64_t most_files = 1 << 20;
constexpr double most_weight = 1000;

/// What errors call settings that don't stand in model.toml.
constexpr const char* override_name = "settings";

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// `[files]`: role = { path = "…", sha256 = "…" }, the path inside the model's folder.
void read_files(settings_reader& reader, model_folder& folder) {
  auto files = reader.table("files");
  for (const auto& role : files.keys()) {
    auto entry = files.table(role);
    const auto path = entry.text("path").value_or("");
    const auto sha256 = entry.text("sha256").value_or("");
    const std::filesystem::path relative = std::filesystem::path{path}.lexically_normal();
    if (path.empty() || relative.is_absolute() || *relative.begin() == "..")
      files.reject(role, "needs a path inside the model's folder", "write path = \"file\"");
    else if (!is_sha256(sha256))
      files.reject(role, "needs the file's hash", "write sha256 = \"…\" with 64 lower-case hexadecimal digits");
    folder.files[role] = {folder.path / relative, sha256};
  }
}

void read_restart(settings_reader& reader, restart_settings& to) {
  auto restart = reader.table("restart");
  to.intensity = restart.integer("intensity", 0, most_restarts).value_or(to.intensity);
  to.period = restart.milliseconds("period").value_or(to.period);
  to.backoff = restart.milliseconds("backoff").value_or(to.backoff);
  to.max_backoff = restart.milliseconds("max_backoff").value_or(std::max(to.backoff, to.max_backoff));
  if (to.max_backoff < to.backoff)
    restart.reject("max_backoff", "must not be less than restart.backoff", "write as much or more");
}

/// What a host process is allowed, and how long it may take, say nothing, and ignore that its work was cancelled.
void read_host(settings_reader& reader, host_settings& to) {
  auto host = reader.table("host");
  to.memory_mib = static_cast<std::uint64_t>(host.integer("memory_mib", 1, most_mebibytes).value_or(0));
  to.open_files = static_cast<std::uint64_t>(host.integer("open_files", least_files, most_files).value_or(0));
  to.network = host.flag("network").value_or(to.network);
  to.start = host.milliseconds("start").value_or(to.start);
  if (to.start.count() == 0)
    host.reject("start", "must be more than 0", "write 1s or more");
  to.silence = host.milliseconds("silence").value_or(to.silence);
  to.cancel_grace = reader.table("cancel").milliseconds("grace").value_or(to.cancel_grace);
}

void read_queue(settings_reader& reader, queue_settings& to) {
  auto queue = reader.table("queue");
  to.capacity = static_cast<std::size_t>(
      queue.integer("capacity", 1, most_queued).value_or(static_cast<std::int64_t>(to.capacity)));
  to.max_wait = queue.duration("max_wait").value_or(to.max_wait);
  if (to.max_wait.count() == 0)
    queue.reject("max_wait", "must be more than 0", "write 1us or more");
  to.priorities = static_cast<std::uint32_t>(queue.integer("priorities", 1, most_priorities).value_or(to.priorities));
  to.default_priority =
      static_cast<std::uint32_t>(queue.integer("default_priority", 1, to.priorities).value_or((to.priorities + 1) / 2));
}

void read_batching(settings_reader& reader, batching_settings& to, const queue_settings& queue) {
  auto batching = reader.table("batching");
  to.max_batch = batching.integer("max_batch", 1, most_items);
  to.max_units = batching.integer("max_units", 1, most_units);
  to.max_delay = batching.duration("max_delay").value_or(to.max_delay);
  if (to.max_delay >= queue.max_wait)
    batching.reject("max_delay", "must be less than queue.max_wait", "a request would be refused before it could run");
}

void read_sequences(settings_reader& reader, sequence_settings& to) {
  auto sequences = reader.table("sequences");
  to.capacity = static_cast<std::size_t>(
      sequences.integer("capacity", 1, most_sequences).value_or(static_cast<std::int64_t>(to.capacity)));
  to.max_idle = sequences.duration("max_idle").value_or(to.max_idle);
  if (to.max_idle.count() == 0)
    sequences.reject("max_idle", "must be more than 0", "write 1us or more");
}

/// What the model takes of its device.
void read_device(settings_reader& reader, model_folder& folder) {
  folder.device = reader.text("device").value_or(folder.device);
  folder.alternatives = reader.texts("alternatives").value_or(folder.alternatives);
  folder.instances = reader.integer("instances", 1, most_instances).value_or(folder.instances);
  folder.threads = static_cast<std::size_t>(reader.integer("threads", 1, most_threads).value_or(1));
  folder.weight = reader.number("weight", 1 / most_weight, most_weight).value_or(folder.weight);
  folder.memory = static_cast<std::uint64_t>(reader.integer("memory_mib", 0, most_mebibytes).value_or(0)) << 20;
}

/// Stands for a skillset that is there and can't be used: loads nothing, and says why.
class unusable_skillset final : public skillset {
 public:
  unusable_skillset(std::string called, error reason) : name_(std::move(called)), why_(std::move(reason)) {}

  std::string_view name() const override { return name_; }
  std::string_view platform() const override { return {}; }
  std::vector<option_spec> options() const override { return {}; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings&, const cancel_token&) override { return why_; }
  expected<std::vector<runtime_device>> devices() override { return why_; }

  const error& why() const noexcept { return why_; }

 private:
  const std::string name_;
  const error why_;
};

/// Null where the skillset can be used.
const error* why_unusable(const model_folder& folder) {
  const auto* const unusable = dynamic_cast<const unusable_skillset*>(folder.skills.get());
  return unusable ? &unusable->why() : nullptr;
}

/// What is not the node's own may crash, and so is in processes of its own unless the model says otherwise; a program
/// is one anyway.
void read_isolation(settings_reader& reader, const skillset_file& what, model_folder& folder) {
  const auto wanted = reader.choice("isolation", {"thread", "process"});
  const bool program = what.kind == skillset_kind::program;
  if (program && wanted == "thread")
    reader.reject("isolation",
                  "is 'thread', and skillset '" + what.name + "' is a program ('" + what.path.string() +
                      "'), which runs in processes of its own alone",
                  "leave it out, or set isolation = \"process\"");
  const bool process = wanted ? wanted == "process" : what.kind != skillset_kind::built_in;
  folder.isolation = program || process ? isolation_kind::process : isolation_kind::thread;
}

void read_skillset(settings_reader& reader, skillset_catalog& catalog, model_folder& folder,
                   const cancel_token& token) {
  const auto name = reader.text("skillset");
  const auto what = name ? catalog.locate(*name) : expected<skillset_file>{make_error(status_code::not_found, {})};
  if (!what) {
    reader.skip("isolation");
    return reader.reject("skillset", name ? "cannot be used: " + what.error().message() : "is missing",
                         "there is: " + catalog.names());
  }
  read_isolation(reader, *what, folder);
  auto found = catalog.find(*what, folder.isolation, token);
  if (found)
    folder.skills = *std::move(found);
  else
    folder.skills = std::make_shared<unusable_skillset>(
        *name, make_error(found.error().code, "skillset '" + *name + "' cannot be used: " + found.error().cause,
                          found.error().remedy));
}

std::optional<parameter> read_option(settings_reader& options, const option_spec& spec) {
  const auto bounds = spec.least != 0 || spec.most != 0;
  if (std::holds_alternative<bool>(spec.fallback))
    return options.flag(spec.name);
  if (std::holds_alternative<std::int64_t>(spec.fallback))
    return options.integer(spec.name, bounds ? static_cast<std::int64_t>(spec.least) : std::numeric_limits<int>::min(),
                           bounds ? static_cast<std::int64_t>(spec.most) : std::numeric_limits<int>::max());
  if (std::holds_alternative<double>(spec.fallback))
    return options.number(spec.name, bounds ? spec.least : std::numeric_limits<double>::lowest(),
                          bounds ? spec.most : std::numeric_limits<double>::max());
  return spec.choices.empty() ? options.text(spec.name) : options.choice(spec.name, spec.choices);
}

/// What the skillset declares, and all that there is where it couldn't be asked.
void read_options(settings_reader& reader, model_folder& folder) {
  if (!folder.skills || why_unusable(folder))
    return reader.skip("options");
  auto options = reader.table("options");
  for (const auto& spec : folder.skills->options())
    folder.options[spec.name] = read_option(options, spec).value_or(spec.fallback);
}

/// The model itself is what its folder says, whatever settings it is loaded with.
expected<void> check_override(std::string_view settings) {
  const auto over = settings_reader::parse(settings, override_name);
  if (!over)
    return over.error();
  for (const auto* key : {"skillset", "version", "files"})
    if (over->contains(key))
      return make_error(status_code::invalid_argument, std::string{override_name} + ": '" + key + "' can't be replaced",
                        "change model.toml");
  return {};
}

/// A name that is safe in paths, logs and protocols.
bool is_good_name(const std::string& name) {
  constexpr std::string_view good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         name.find_first_not_of(good) == std::string::npos;
}

}  // namespace

expected<model_folder> read_model(const std::filesystem::path& repository, const std::string& name,
                                  skillset_catalog& catalog, std::string_view settings, const cancel_token& token) {
  std::error_code failed;
  if (!is_good_name(name) || !std::filesystem::exists(repository / name / "model.toml", failed))
    return make_error(status_code::not_found, "there is no model '" + name + "' in the repository",
                      "add a folder of this name with a model.toml");
  return read_model_folder(repository / name, catalog, settings, token);
}

expected<model_folder> read_model_folder(const std::filesystem::path& path, skillset_catalog& catalog,
                                         std::string_view settings, const cancel_token& token) {
  model_folder folder;
  folder.path = path;
  folder.name = path.filename().string();
  if (!is_good_name(folder.name))
    return make_error(status_code::invalid_argument, "'" + folder.name + "' can't be a model's name",
                      "use at most 128 letters, digits, dots, dashes and underscores");
  if (const auto allowed = check_override(settings); !allowed)
    return allowed.error();
  auto reader = settings_reader::read_file(path / "model.toml", settings, override_name);
  if (!reader)
    return reader.error();
  if (reader->choice("on_failure", {"fatal", "unavailable"}) == "unavailable")
    folder.on_failure = failure_policy::unavailable;
  read_skillset(*reader, catalog, folder, token);
  if (token.cancelled())
    return token.reason();
  folder.version = reader->text("version").value_or(folder.version);
  if (!is_good_name(folder.version))
    reader->reject("version", "can't be a version", "use letters and digits, such as \"1\"");
  read_device(*reader, folder);
  folder.idempotent = reader->flag("idempotent").value_or(folder.idempotent);
  read_restart(*reader, folder.restart);
  read_host(*reader, folder.host);
  auto limits = reader->table("limits");
  folder.limits.items = limits.integer("items", 1, most_items).value_or(folder.limits.items);
  read_queue(*reader, folder.queue);
  read_batching(*reader, folder.batching, folder.queue);
  read_sequences(*reader, folder.sequences);
  read_files(*reader, folder);
  read_options(*reader, folder);
  if (const auto done = reader->finish(); !done)
    return done.error();
  if (const auto* why = why_unusable(folder); why && folder.on_failure == failure_policy::fatal)
    return make_error(why->code, (path / "model.toml").string() + ": " + why->cause, why->remedy);
  return folder;
}

expected<std::vector<model_folder>> read_model_repository(const std::filesystem::path& repository,
                                                          skillset_catalog& catalog, const cancel_token& token) {
  std::error_code failed;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator{repository, failed})
    if (std::filesystem::exists(entry.path() / "model.toml", failed))
      paths.push_back(entry.path());
  if (!std::filesystem::is_directory(repository, failed))
    return make_error(status_code::not_found, "there is no model repository '" + repository.string() + "'",
                      "set models.path to a folder with a folder for each model");
  std::sort(paths.begin(), paths.end());
  std::vector<model_folder> folders;
  for (const auto& path : paths) {
    auto folder = read_model_folder(path, catalog, {}, token);
    if (!folder)
      return folder.error();
    folders.push_back(*std::move(folder));
  }
  return folders;
}

expected<void> verify_files(const model_folder& folder, const cancel_token& token) {
  for (const auto& [role, file] : folder.files) {
    const auto hash = sha256_of(file.path, token);
    if (!hash)
      return hash.error().code == status_code::not_found
                 ? make_error(status_code::not_found, "the model's " + role + ": " + hash.error().cause,
                              "fetch the model's files again")
                 : hash.error();
    if (*hash != file.sha256)
      return make_error(
          status_code::data_loss,
          "the model's " + role + " '" + file.path.string() + "' has sha256 " + *hash + ", not " + file.sha256,
          "fetch the file again, or correct the hash in model.toml");
  }
  return {};
}

model_settings settings_of(const model_folder& folder) {
  model_settings settings;
  settings.name = folder.name;
  settings.folder = folder.path;
  for (const auto& [role, file] : folder.files)
    settings.files[role] = file.path;
  settings.options = folder.options;
  settings.device = folder.device;
  settings.instances = folder.instances;
  settings.threads = folder.threads;
  settings.host = folder.host;
  return settings;
}

}  // namespace troupe
