#include "apps/troupe/new_skillset.hpp"

#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "skillset_project.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace troupe::cli {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t longest_name = 64;

// The targets that every CMake project has.
constexpr std::array<std::string_view, 10> targets{"all",     "clean",   "depend",         "edit_cache",    "help",
                                                   "install", "package", "package_source", "rebuild_cache", "test"};

// What is in the node goes before a plug-in of that name; and the SDK has a troupe_skillset, a single_instance and a
// loaded_model.
constexpr std::array<std::string_view, 5> ours{"identity", "triton_examples", "troupe", "single", "loaded"};

error cannot_make(const std::filesystem::path& path, std::error_code why) {
  const auto what = "'" + path.string() + "'";
  if (why == std::errc::file_exists)
    return make_error(status_code::already_exists, what + " is there already", "take another --folder, or remove it");
  if (why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory)
    return make_error(status_code::not_found, what + " can't be made: there is no folder around it", "make that first");
  const bool forbidden = why == std::errc::permission_denied || why == std::errc::operation_not_permitted ||
                         why == std::errc::read_only_file_system;
  return make_error(forbidden ? status_code::permission_denied : status_code::internal,
                    what + " can't be written: " + why.message(), "take another --folder");
}

/// The example's text for the new skillset.
std::string renamed(std::string_view text, std::string_view name) {
  std::string result;
  for (auto at = text.find(example_name); at != std::string_view::npos; at = text.find(example_name)) {
    result.append(text.substr(0, at)).append(name);
    text.remove_prefix(at + example_name.size());
  }
  return result.append(text);
}

expected<void> write_file(const std::filesystem::path& path, std::string_view text) {
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed)
    return cannot_make(path.parent_path(), failed);
  errno = 0;
  std::ofstream file{path, std::ios::binary};
  file << text;
  file.close();
  if (!file)
    return cannot_make(path, {errno, std::generic_category()});
  return {};
}

}  // namespace

expected<void> check_skillset_name(std::string_view name) {
  const auto wrong = [&](const std::string& why) {
    return make_error(status_code::invalid_argument,
                      "'" + shortened(name, longest_name) + "' can't be a skillset's name: " + why,
                      "take one such as text_length");
  };
  const auto small = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto good = [&](char c) { return small(c) || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty())
    return wrong("it is empty");
  if (name.size() > longest_name)
    return wrong("it is longer than " + std::to_string(longest_name) + " bytes");
  if (!small(name.front()) || !std::all_of(name.begin(), name.end(), good))
    return wrong("it has to be of small letters, digits and underscores, and begin with a letter");
  if (name.back() == '_' || name.find("__") != std::string_view::npos)
    return wrong("an underscore has to stand between others");
  if (std::find(targets.begin(), targets.end(), name) != targets.end())
    return wrong("every CMake project has a target that is called so");
  if (std::find(ours.begin(), ours.end(), name) != ours.end())
    return wrong("Troupe has something that is called so");
  return {};
}

expected<void> write_skillset_project(const std::string& name, const std::filesystem::path& folder) {
  if (auto good = check_skillset_name(name); !good)
    return good;
  // Made here and by nobody else, so that all in it is ours to remove.
  std::error_code failed;
  if (!std::filesystem::create_directory(folder, failed) && !failed)
    failed = make_error_code(std::errc::file_exists);
  if (failed)
    return cannot_make(folder, failed);
  for (const auto& [path, text] : skillset_project)
    if (auto written = write_file(folder / renamed(path, name), renamed(text, name)); !written) {
      std::filesystem::remove_all(folder, failed);
      return written;
    }
  return {};
}

expected<void> new_skillset(session& with, const new_skillset_options& options) {
  const std::filesystem::path folder = options.folder.empty() ? options.name : options.folder;
  if (auto written = write_skillset_project(options.name, folder); !written)
    return written;
  if (with.json)
    with.out.print(json{{"skillset", options.name}, {"folder", folder.string()}}.dump() + "\n");
  else
    with.out.print("The skillset " + options.name + " is in " + folder.string() +
                   "; its README.md says how to go on.\n");
  return {};
}

}  // namespace troupe::cli
