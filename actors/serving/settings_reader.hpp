#pragma once

#include "actors/concurrency/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Reads one table of a TOML file strictly: a value of the wrong type or out of its range, and a key that nobody asked
/// for, are errors that name file, line and key. Ask for every key, then call `finish()`, which gives the first error.
/// A key that is absent, or wrong, answers nothing.
class settings_reader {
 public:
  /// Reads `file`. NOT_FOUND when it can't be opened, INVALID_ARGUMENT with line and column when it isn't TOML.
  static expected<settings_reader> read_file(const std::filesystem::path& file);

  /// The same, with what `over`, a text of TOML, says in place of what the file says; errors call that `over_name`.
  static expected<settings_reader> read_file(const std::filesystem::path& file, std::string_view over,
                                             const std::string& over_name);

  /// Reads `text`, which errors call `name`.
  static expected<settings_reader> parse(std::string_view text, const std::string& name);

  settings_reader(settings_reader&&) noexcept;
  settings_reader& operator=(settings_reader&&) noexcept;
  ~settings_reader();

  std::optional<std::string> text(std::string_view key);

  /// An array of texts.
  std::optional<std::vector<std::string>> texts(std::string_view key);

  /// Text that is one of `choices`.
  std::optional<std::string> choice(std::string_view key, const std::vector<std::string>& choices);

  /// An integer in [least, most].
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);

  /// A number in [least, most]; an integer will do.
  std::optional<double> number(std::string_view key, double least, double most);

  std::optional<bool> flag(std::string_view key);

  /// Text such as `500us`, `250ms`, `10s` or `2m`, not negative and at most a day.
  std::optional<std::chrono::microseconds> duration(std::string_view key);

  /// The same for what is done in whole milliseconds: rounded up, so that what is more than 0 stays so.
  std::optional<std::chrono::milliseconds> milliseconds(std::string_view key);

  /// The table at `key`; an empty one where there is none. Its errors are this reader's errors.
  settings_reader table(std::string_view key);

  /// Takes whatever stands at `key`, unread.
  void skip(std::string_view key);

  /// The keys of this table, in the file's order of lines.
  std::vector<std::string> keys() const;

  bool contains(std::string_view key) const;

  /// Records `what` as wrong with `key`, for checks that only the caller can make.
  void reject(std::string_view key, const std::string& what, const std::string& remedy = {});

  /// The first error of this reader and its tables, unknown keys included.
  expected<void> finish();

 private:
  struct document;
  struct node;
  static settings_reader of(std::shared_ptr<document> doc);
  explicit settings_reader(std::unique_ptr<node> at);

  std::unique_ptr<node> node_;
};

}  // namespace troupe
