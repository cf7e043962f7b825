#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe {

/// What became of an operation, with gRPC's numbers and meanings
/// (https://grpc.io/docs/guides/status-codes/), so that a code crosses the wire unchanged.
enum class status_code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

/// The code as gRPC spells it, such as `INVALID_ARGUMENT`.
std::string_view to_string(status_code code) noexcept;

/// Why something could not be done: what kind of failure, what caused it, and what the reader can do about it.
/// The cause names the offending thing and value; the remedy may be empty where there is nothing to add.
struct error {
  status_code code = status_code::unknown;
  std::string cause;
  std::string remedy;
  bool cancellation = false;      ///< a scope says so by its token: it stops at the scope that was cancelled
  std::vector<error> parts = {};  ///< of an aggregate: what it is made of, which may be aggregates again

  /// Of what was refused for now: how long to wait before another try; 0 when that is not known.
  std::chrono::milliseconds retry_after = {};

  /// Cause and remedy in one line, as a client or a log reader sees them.
  std::string message() const;

  friend bool operator==(const error&, const error&) = default;
};

/// `CODE: message`.
std::string to_string(const error& e);

/// `text`, or its beginning and `…` when it has more than `most` bytes; no UTF-8 character is cut in two. For what
/// strangers name and others have to carry.
std::string shortened(std::string_view text, std::size_t most);

inline error make_error(status_code code, std::string cause, std::string remedy = {}) {
  return {code, std::move(cause), std::move(remedy)};
}

/// Several errors in one: the code of the first, and all of them as its parts. The cause spells out a few of them.
error aggregate(std::string_view what, std::vector<error> parts);

/// What is left of an error without the cancellations in it, at every depth; nothing where it was nothing else.
std::optional<error> without_cancellations(error e);

/// A value, or the error that stood in its way; the part of C++23's `std::expected` that the project needs, because
/// clang 14 cannot compile the one in libstdc++ 12. Reading the side that is not there is undefined.
template <class T>
class [[nodiscard]] expected {
 public:
  using value_type = T;

  expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  expected(troupe::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

  troupe::error& error() & { return *std::get_if<1>(&state_); }
  const troupe::error& error() const& { return *std::get_if<1>(&state_); }
  troupe::error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, troupe::error> state_;
};

template <>
class [[nodiscard]] expected<void> {
 public:
  using value_type = void;

  expected() = default;
  expected(troupe::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  troupe::error& error() & { return *std::get_if<1>(&state_); }
  const troupe::error& error() const& { return *std::get_if<1>(&state_); }
  troupe::error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<std::monostate, troupe::error> state_;
};

}  // namespace troupe
