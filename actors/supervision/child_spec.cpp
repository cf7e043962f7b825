#include "actors/supervision/child_spec.hpp"

namespace troupe {
namespace {

error bad_field(const child_spec& spec, std::string_view field, const std::string& value, const std::string& remedy) {
  return make_error(status_code::invalid_argument,
                    "child '" + shortened(spec.id, 128) + "': " + std::string{field} + " is " + value, remedy);
}

template <class Enum>
bool is_known(Enum value, Enum last) {
  return static_cast<std::uint8_t>(value) <= static_cast<std::uint8_t>(last);
}

template <class Enum>
std::string number(Enum value) {
  return std::to_string(static_cast<unsigned>(value));
}

bool is_wait(std::chrono::milliseconds time) {
  return time >= std::chrono::milliseconds{0} && time <= longest_wait;
}

std::string text(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

}  // namespace

std::string_view to_string(restart_type type) noexcept {
  switch (type) {
    case restart_type::permanent:
      return "permanent";
    case restart_type::transient:
      return "transient";
    case restart_type::temporary:
      return "temporary";
  }
  return "unknown";
}

std::string_view to_string(child_type type) noexcept {
  return type == child_type::supervisor ? "supervisor" : "worker";
}

std::string to_string(const shutdown_time& time) {
  if (time.is_brutal())
    return "brutal";
  return time.is_infinite() ? "infinity" : std::to_string(time.limit().count());
}

expected<void> validate(const child_spec& spec) {
  if (spec.id.empty())
    return bad_field(spec, "id", "empty", "name the child");
  if (!spec.start)
    return bad_field(spec, "start", "missing", "give it a start function");
  if (!is_known(spec.restart, restart_type::temporary))
    return bad_field(spec, "restart", number(spec.restart), "use permanent, transient or temporary");
  if (!is_known(spec.type, child_type::supervisor))
    return bad_field(spec, "type", number(spec.type), "use worker or supervisor");
  if (spec.shutdown && !spec.shutdown->is_infinite() && !is_wait(spec.shutdown->limit()))
    return bad_field(spec, "shutdown", text(spec.shutdown->limit()), "use brutal, infinite, or 0 ms to 10 years");
  if (spec.start_within && (!is_wait(*spec.start_within) || spec.start_within->count() == 0))
    return bad_field(spec, "start_within", text(*spec.start_within), "use 1 ms to 10 years, or leave it unset");
  if (spec.significant && spec.restart == restart_type::permanent)
    return bad_field(spec, "significant", "true", "a permanent child can't be significant; use transient or temporary");
  return {};
}

}  // namespace troupe
