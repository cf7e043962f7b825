#include "actors/concurrency/error.hpp"

#include <algorithm>
#include <array>

namespace troupe {

std::string_view to_string(status_code code) noexcept {
  constexpr std::array<std::string_view, 17> names{
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? names[index] : "UNKNOWN";
}

std::string error::message() const {
  return remedy.empty() ? cause : cause + "; " + remedy;
}

std::string to_string(const error& e) {
  return std::string{to_string(e.code)} + ": " + e.message();
}

error aggregate(std::string_view what, std::vector<error> parts) {
  constexpr std::size_t spelled_out = 3;
  auto result = make_error(parts.empty() ? status_code::unknown : parts.front().code, std::string{what});
  for (std::size_t i = 0; i != std::min(parts.size(), spelled_out); ++i)
    result.cause += (i == 0 ? ": " : " | ") + to_string(parts[i]);
  if (parts.size() > spelled_out)
    result.cause += " | and " + std::to_string(parts.size() - spelled_out) + " more";
  result.parts = std::move(parts);
  return result;
}

std::optional<error> without_cancellations(error e) {
  if (e.cancellation)
    return std::nullopt;
  if (e.parts.empty())
    return e;
  std::vector<error> kept;
  for (auto& part : e.parts)
    if (auto rest = without_cancellations(std::move(part)))
      kept.push_back(*std::move(rest));
  if (kept.empty())
    return std::nullopt;
  e.parts = std::move(kept);
  return e;
}

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most)
    return std::string{text};
  const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  while (most > 0 && continues(most))
    --most;
  return std::string{text.substr(0, most)} + "…";
}

}  // namespace troupe
