#include "actors/serving/skillset_catalog.hpp"

#include "actors/concurrency/log.hpp"
#include "skillsets/sdk/plugin.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace troupe {

expected<std::vector<runtime_device>> devices_of(skillset& skills) try {
  return skills.devices();
} catch (const std::exception& e) {
  return make_error(status_code::internal, "asking for the devices failed: " + std::string{e.what()});
} catch (...) {
  return make_error(status_code::internal, "asking for the devices threw something that is no exception");
}

skillset_catalog::skillset_catalog(std::vector<std::filesystem::path> folders, std::filesystem::path host)
    : folders_(std::move(folders)), hosted_(std::move(host)) {}

skillset_catalog::~skillset_catalog() = default;

void skillset_catalog::add(std::unique_ptr<skillset> built_in) {
  const std::lock_guard lock{mutex_};
  std::string name{built_in->name()};
  built_in_.insert_or_assign(std::move(name), std::move(built_in));
}

expected<skillset_file> skillset_catalog::locate(const std::string& name) const {
  for (auto& found : scan())
    if (found.name == name)
      return std::move(found);
  return make_error(status_code::not_found, "there is no skillset '" + name + "'");
}

expected<std::shared_ptr<skillset>> skillset_catalog::find(const skillset_file& what, isolation_kind isolation,
                                                           const cancel_token& token) {
  if (isolation == isolation_kind::process)
    return hosted_.find(what, token);
  if (what.kind == skillset_kind::program)
    return make_error(status_code::invalid_argument,
                      "skillset '" + what.name + "' is a program, which runs in processes of its own alone",
                      "set isolation = \"process\"");
  if (what.kind == skillset_kind::shared_object)
    return find_opened(what);
  return find_built_in(what.name);
}

std::shared_ptr<skillset> skillset_catalog::find_built_in(const std::string& name) const {
  const std::lock_guard lock{mutex_};
  return built_in_.at(name);
}

/// What is open can't be closed, and what replaces it can't be opened beside it: two of one library in one process get
/// at each other's symbols.
expected<std::shared_ptr<skillset>> skillset_catalog::find_opened(const skillset_file& what) {
  const std::lock_guard one_at_a_time{opening_};
  const auto now = identity_of(what.path);
  {
    const std::lock_guard lock{mutex_};
    if (const auto i = opened_.find(what.name); i != opened_.end()) {
      if (now == i->second.identity && what.path == i->second.path)
        return i->second.skills;
      return make_error(status_code::failed_precondition,
                        "skillset '" + what.name + "' was replaced: the node has opened another '" +
                            i->second.path.string() + "', and can't let go of it",
                        "start the node again, or set isolation = \"process\"");
    }
  }
  if (!now)
    return make_error(status_code::not_found, "'" + what.path.string() + "' is not there any more");
  const auto found = open_plugin(what.path);
  if (!found)
    return found.error();
  const std::shared_ptr<skillset> skills{std::shared_ptr<void>{}, *found};
  const std::lock_guard lock{mutex_};
  opened_.emplace(what.name, opened_file{what.path, *now, skills});
  return skills;
}

namespace {

void describe_as(skillset& skills, skillset_listing& to) {
  to.version = skills.version();
  to.platform = skills.platform();
  to.options = skills.options();
  if (auto devices = devices_of(skills))
    to.devices = *std::move(devices);
}

/// The skillsets' files in a folder, in the order of their names.
std::vector<skillset_file> files_in(const std::filesystem::path& folder) {
  std::vector<skillset_file> result;
  std::error_code failed;
  for (auto i = std::filesystem::directory_iterator{folder, failed}; !failed && i != end(i); i.increment(failed)) {
    const auto& path = i->path();
    if (path.extension() == ".so" || path.extension() == ".toml")
      result.push_back({path.stem().string(),
                        path.extension() == ".so" ? skillset_kind::shared_object : skillset_kind::program, path});
  }
  std::sort(result.begin(), result.end(),
            [](const auto& a, const auto& b) { return std::tie(a.name, a.kind) < std::tie(b.name, b.kind); });
  return result;
}

}  // namespace

/// All of them, the preferred one of a name first.
std::vector<skillset_file> skillset_catalog::scan() const {
  std::vector<skillset_file> result;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& [name, skills] : built_in_)
      result.push_back({name, skillset_kind::built_in, {}});
  }
  for (const auto& folder : folders_) {
    auto found = files_in(folder);
    std::move(found.begin(), found.end(), std::back_inserter(result));
  }
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return result;
}

/// A file is never opened here: foreign code is the business of a process of its own.
void skillset_catalog::describe(skillset_listing& to, const cancel_token& token) {
  const auto found = to.file.kind == skillset_kind::built_in
                         ? expected<std::shared_ptr<skillset>>{find_built_in(to.file.name)}
                         : hosted_.describe(to.file, token);
  if (found)
    describe_as(**found, to);
  else
    to.refused = found.error();
}

expected<std::vector<skillset_listing>> skillset_catalog::list(const cancel_token& token) {
  std::vector<skillset_listing> result;
  const skillset_file* preferred = nullptr;
  const auto all = scan();
  for (const auto& each : all) {
    skillset_listing listing;
    listing.file = each;
    if (preferred && preferred->name == each.name)
      listing.shadowed_by = *preferred;
    else
      describe(listing, token);
    if (token.cancelled())
      return token.reason();
    preferred = listing.shadowed_by ? preferred : &each;
    result.push_back(std::move(listing));
  }
  return result;
}

std::vector<runtime_device> skillset_catalog::devices() const {
  std::vector<std::shared_ptr<skillset>> there;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& [name, skills] : built_in_)
      there.push_back(skills);
    for (const auto& [name, opened] : opened_)
      there.push_back(opened.skills);
  }
  for (auto& skills : hosted_.known())
    if (std::none_of(there.begin(), there.end(), [&](const auto& one) { return one->name() == skills->name(); }))
      there.push_back(std::move(skills));
  std::vector<runtime_device> result;
  for (const auto& skills : there)
    if (auto found = devices_of(*skills))
      std::move(found->begin(), found->end(), std::back_inserter(result));
    else
      log_event(spdlog::level::warn, "devices unknown",
                {{"skillset", skills->name()}, {"reason", found.error().message()}});
  return result;
}

std::string skillset_catalog::names() const {
  std::string text, last;
  for (const auto& each : scan())
    if (each.name != std::exchange(last, each.name))
      text += (text.empty() ? "" : ", ") + each.name;
  return text;
}

}  // namespace troupe
