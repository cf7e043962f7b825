#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/openai/json_document.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::openai {

/// Which numbers are welcome.
struct number_range {
  double least;
  double most;               ///< included
  bool above_least = false;  ///< `least` itself is not
};

/// Reads the members of one JSON object of a request. A member that is null counts as absent; one of the wrong type or
/// out of its range answers nothing, and is an error that begins with its path, such as `parameter
/// 'messages[2].content'`. The first error of a request is the one that counts: ask for everything, then look at it.
class object_reader {
 public:
  /// Reads `object`, which is at `path`; empty: it is the request itself. Both it and `failure`, where the first error
  /// goes, outlive the reader.
  object_reader(const json& object, std::string path, std::optional<error>& failure)
      : object_(object), path_(std::move(path)), failure_(failure) {}

  /// Whatever stands there; null where nothing does.
  const json* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

  std::optional<std::string> text(std::string_view name) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most) const;
  std::optional<double> number(std::string_view name, const number_range& range) const;
  std::optional<object_reader> object(std::string_view name) const;
  const json* array(std::string_view name) const;

  /// Text that must be there; empty where it isn't.
  std::string required_text(std::string_view name) const;

  /// One element of the array `name`, which must be an object.
  std::optional<object_reader> element(std::string_view name, const json& array, std::size_t index) const;

  /// True when the object has no members but these, which may be absent.
  bool only(std::initializer_list<std::string_view> known) const;

  /// What is wrong with a member: INVALID_ARGUMENT.
  void reject(std::string_view name, const std::string& what, const std::string& remedy = {}) const;

  /// What is asked for and can't be done: UNIMPLEMENTED.
  void refuse(std::string_view name, const std::string& what, const std::string& remedy = {}) const;

  std::string path_of(std::string_view name) const;
  bool failed() const noexcept { return failure_.has_value(); }

 private:
  void fail(status_code code, std::string_view name, const std::string& what, const std::string& remedy) const;

  const json& object_;
  std::string path_;
  std::optional<error>& failure_;
};

/// A value as an error tells it: `the number -1`, `a string`.
std::string describe(const json& value);

/// `messages[2]`.
std::string element_path(std::string_view array, std::size_t index);

}  // namespace troupe::openai
