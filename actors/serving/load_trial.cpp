#include "actors/serving/load_trial.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/hosts/hosted_skillset.hpp"
#include "actors/serving/model_folder.hpp"

#include <utility>

namespace troupe {
namespace {

/// The skillset, and what each of its roles contains.
std::string contents_of(const model_folder& folder) {
  std::string contents{folder.skills->name()};
  for (const auto& [role, file] : folder.files)
    contents += "\n" + role + " " + file.sha256;
  return contents;
}

}  // namespace

load_trial::load_trial(std::shared_ptr<skillset_catalog> catalog) : catalog_(std::move(catalog)) {}

bool load_trial::is_known(const std::string& files) const {
  const std::lock_guard lock{mutex_};
  return known_.count(files) > 0;
}

expected<void> load_trial::pass(const model_folder& folder, const cancel_token& token) {
  if (folder.isolation == isolation_kind::process || folder.files.empty())
    return {};
  const auto contents = contents_of(folder);
  if (is_known(contents))
    return {};
  const auto file = catalog_->locate(std::string{folder.skills->name()});
  const auto found = file ? catalog_->find(*file, isolation_kind::process, token) : file.error();
  if (!found)
    return found.error();
  const auto hosted = std::dynamic_pointer_cast<hosted_skillset>(*found);
  if (!hosted)
    return make_error(status_code::internal,
                      "skillset '" + std::string{folder.skills->name()} + "' has no host to try the files in");
  const auto loaded = hosted->try_load(settings_of(folder), token);
  // A host can't have a stateful model, which it finds out when it has read the files.
  if (!loaded && loaded.error().code != status_code::unimplemented)
    return loaded;
  log_event(spdlog::level::debug, "files tried in a host", {{"model", folder.name}});
  const std::lock_guard lock{mutex_};
  known_.insert(contents);
  return {};
}

}  // namespace troupe
