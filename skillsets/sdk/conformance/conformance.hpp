#pragma once

#include "skillsets/sdk/conformance/subject.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::conformance {

/// What a check came to.
enum class verdict : std::uint8_t {
  passed,
  failed,   ///< the skillset breaks the contract
  skipped,  ///< the contract asks nothing of a skillset like this
};

std::string_view to_string(verdict what) noexcept;

/// A check's verdict: with a reason where it isn't passed, and with what was measured where something was.
struct finding {
  verdict what = verdict::passed;
  std::string reason;
  std::string measured;
};

inline finding passed(std::string measured = {}) {
  return {verdict::passed, {}, std::move(measured)};
}
inline finding failed(std::string reason) {
  return {verdict::failed, std::move(reason), {}};
}
inline finding skipped(std::string reason) {
  return {verdict::skipped, std::move(reason), {}};
}

/// One point of the contract.
struct check {
  std::string_view name;  ///< such as `batch_equals_singles`
  std::string_view what;  ///< as a sentence about a skillset that passes
  finding (*run)(subject&);
};

/// All of them, in the order in which they make sense: a later one takes for granted what an earlier one looks at.
const std::vector<check>& all_checks();

/// What a check came to, and how long it took.
struct result {
  const check* of;
  finding found;
  std::chrono::milliseconds took;
};

/// Runs one check. An exception that gets out of the skillset's hands is a failure of it.
result run(const check& what, subject& whom);

/// For people: a line a check, with the reason or what was measured; and a line that counts.
std::string to_text(const result& one);
std::string count(const std::vector<result>& results);
std::string to_text(const std::vector<result>& results);

/// For programs: `{"passed": true, "checks": [{"name", "verdict", "reason", "measured", "ms"}]}`.
std::string to_json(const std::vector<result>& results);

bool all_passed(const std::vector<result>& results) noexcept;

}  // namespace troupe::conformance
