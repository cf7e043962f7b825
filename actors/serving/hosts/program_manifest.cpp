#include "actors/serving/hosts/program_manifest.hpp"

#include "actors/serving/settings_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>

namespace troupe {
namespace {

bool is_file(const std::filesystem::path& path) {
  std::error_code failed;
  return std::filesystem::is_regular_file(path, failed);
}

bool is_executable(const std::filesystem::path& path) {
  return is_file(path) && access(path.c_str(), X_OK) == 0;
}

/// As execvp(3) does it.
std::optional<std::filesystem::path> look_up(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders{path ? path : "/bin:/usr/bin"};
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const auto file = std::filesystem::absolute(folder.empty() ? "." : folder) / name; is_executable(file))
      return file;
  return std::nullopt;
}

/// What of `command` is wrong is told to the reader.
void read_command(settings_reader& reader, program_manifest& to) {
  const auto words = reader.texts("command").value_or(std::vector<std::string>{});
  if (words.empty() || words.front().empty())
    return reader.reject("command", "must name a program", "write command = [\"program\", \"argument\"]");
  if (std::any_of(words.begin(), words.end(), [](const auto& word) { return word.find('\0') != word.npos; }))
    return reader.reject("command", "has a word with a NUL in it, which no program can be given");
  to.arguments.assign(words.begin() + 1, words.end());
  if (words.front().find('/') == std::string::npos) {
    const auto found = look_up(words.front());
    if (!found)
      return reader.reject("command", "wants the program '" + words.front() + "', which is not in the node's PATH",
                           "install it, or write a path with a slash");
    to.program = *found;
    return;
  }
  to.program = (to.folder / words.front()).lexically_normal();
  if (!is_file(to.program))
    reader.reject("command", "wants the program '" + to.program.string() + "', which is not there",
                  "a path with a slash is relative to this file's folder");
  else if (!is_executable(to.program))
    reader.reject("command", "wants the program '" + to.program.string() + "', which may not be executed",
                  "chmod +x it, or name its interpreter first");
}

}  // namespace

expected<program_manifest> read_program_manifest(const std::filesystem::path& file) {
  auto reader = settings_reader::read_file(file);
  if (!reader)
    return reader.error();
  program_manifest manifest;
  manifest.folder = std::filesystem::absolute(file).lexically_normal().parent_path();
  read_command(*reader, manifest);
  if (const auto done = reader->finish(); !done)
    return done.error();
  return manifest;
}

}  // namespace troupe
