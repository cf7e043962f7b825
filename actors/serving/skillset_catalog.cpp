#include "actors/serving/skillset_catalog.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/hosted_skillset.hpp"
#include "skillsets/sdk/plugin.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace troupe {

expected<std::vector<runtime_device>> devices_of(skillset& skills) try {
  return skills.devices();
} catch (const std::exception& e) {
  return make_error(status_code::internal, "asking for the devices failed: " + std::string{e.what()});
} catch (...) {
  return make_error(status_code::internal, "asking for the devices threw something that is no exception");
}

skillset_catalog::skillset_catalog(std::filesystem::path folder, std::filesystem::path host)
    : folder_(std::move(folder)), host_(std::move(host)) {}

skillset_catalog::~skillset_catalog() = default;

void skillset_catalog::add(std::unique_ptr<skillset> built_in) {
  const std::lock_guard lock{mutex_};
  std::string name{built_in->name()};
  built_in_.insert_or_assign(std::move(name), std::move(built_in));
}

expected<skillset*> skillset_catalog::find(const std::string& name, isolation_kind isolation) {
  const std::lock_guard lock{mutex_};
  if (isolation == isolation_kind::process)
    return find_hosted(name);
  if (const auto i = built_in_.find(name); i != built_in_.end())
    return i->second.get();
  if (const auto i = opened_.find(name); i != opened_.end())
    return i->second;
  const auto file = folder_ / (name + ".so");
  std::error_code ignored;
  if (name.find('/') != std::string::npos || !std::filesystem::exists(file, ignored))
    return make_error(status_code::not_found, "there is no skillset '" + name + "'");
  auto found = open_plugin(file);
  if (found)
    opened_.emplace(name, *found);
  return found;
}

expected<skillset*> skillset_catalog::find_hosted(const std::string& name) {
  if (const auto i = hosted_.find(name); i != hosted_.end())
    return i->second.get();
  const auto file = folder_ / (name + ".so");
  std::error_code ignored;
  const bool built_in = built_in_.count(name) > 0;
  if (!built_in && (name.find('/') != std::string::npos || !std::filesystem::exists(file, ignored)))
    return make_error(status_code::not_found, "there is no skillset '" + name + "'");
  const auto what = built_in ? "--builtin=" + name : "--plugin=" + file.string();
  auto hosted = hosted_skillset::open({host_, {what}}, name, {});
  if (!hosted)
    return hosted.error();
  return hosted_.emplace(name, *std::move(hosted)).first->second.get();
}

std::vector<runtime_device> skillset_catalog::devices() const {
  std::vector<runtime_device> result;
  const auto add = [&](skillset& skills) {
    auto found = devices_of(skills);
    if (found)
      std::move(found->begin(), found->end(), std::back_inserter(result));
    else
      log_event(spdlog::level::warn, "devices unknown",
                {{"skillset", skills.name()}, {"reason", found.error().message()}});
  };
  const std::lock_guard lock{mutex_};
  for (const auto& [name, skills] : built_in_)
    add(*skills);
  for (const auto& [name, skills] : opened_)
    add(*skills);
  return result;
}

std::string skillset_catalog::names() const {
  const std::lock_guard lock{mutex_};
  std::set<std::string> names;
  for (const auto& [name, skills] : built_in_)
    names.insert(name);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{folder_, ignored})
    if (entry.path().extension() == ".so")
      names.insert(entry.path().stem().string());
  std::string text;
  for (const auto& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace troupe
