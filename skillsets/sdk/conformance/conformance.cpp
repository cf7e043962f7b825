#include "skillsets/sdk/conformance/conformance.hpp"

#include "skillsets/sdk/conformance/checks.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <exception>

namespace troupe::conformance {

std::string_view to_string(verdict what) noexcept {
  constexpr std::array<std::string_view, 3> names{"passed", "failed", "skipped"};
  return names[static_cast<std::size_t>(what)];
}

const std::vector<check>& all_checks() {
  static const std::vector<check> all{
      {"describes_itself", "its name, options and devices can be used", describes_itself},
      {"loads_and_warms_up", "the model loads, its signature can be, and its warm-up request is answered",
       loads_and_warms_up},
      {"answers_as_it_says", "what it answers is what its signature says", answers_as_it_says},
      {"batch_equals_singles", "in company a request is answered as it is alone", batch_equals_singles},
      {"is_deterministic", "the same request has the same answer", is_deterministic},
      {"instances_agree", "instances that work at once answer as one does alone", instances_agree},
      {"keeps_requests_apart", "requests that come and go between steps are answered as they are alone",
       keeps_requests_apart},
      {"stops_when_cancelled", "cancelled work ends soon, and what comes after it is not harmed", stops_when_cancelled},
      {"stops_at_the_deadline", "work that is late ends soon", stops_at_the_deadline},
      {"stops_loading", "a cancelled load ends", stops_loading},
      {"takes_its_options", "every option can have what its range says", takes_its_options},
      {"refuses_broken_files", "files that are not what they should be are refused with a reason",
       refuses_broken_files},
      {"survives_random_inputs", "whatever fits the signature is answered, refused or stopped", survives_random_inputs},
      {"gives_everything_back", "loading and unloading leaves nothing behind", gives_everything_back},
  };
  return all;
}

result run(const check& what, subject& whom) {
  const auto began = steady_clock::now();
  finding found;
  try {
    found = what.run(whom);
  } catch (const std::exception& e) {
    found = failed(std::string{"the skillset threw: "} + e.what());
  } catch (...) {
    found = failed("the skillset threw something that is no exception");
  }
  return {&what, std::move(found), std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began)};
}

std::string to_text(const result& one) {
  const auto column = [](std::string_view text, std::size_t width) {
    return std::string{text} + std::string(text.size() < width ? width - text.size() : 1, ' ');
  };
  const auto& found = one.found;
  auto text = column(to_string(found.what), 9) + column(one.of->name, 25) +
              (found.what == verdict::passed ? found.measured : found.reason);
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string count(const std::vector<result>& results) {
  std::array<int, 3> counts{};
  for (const auto& each : results)
    ++counts[static_cast<std::size_t>(each.found.what)];
  return std::to_string(counts[0]) + " passed, " + std::to_string(counts[1]) + " failed, " + std::to_string(counts[2]) +
         " skipped\n";
}

std::string to_text(const std::vector<result>& results) {
  std::string text;
  for (const auto& each : results)
    text += to_text(each);
  return text + count(results);
}

std::string to_json(const std::vector<result>& results) {
  auto checks = nlohmann::json::array();
  for (const auto& each : results)
    checks.push_back({{"name", each.of->name},
                      {"what", each.of->what},
                      {"verdict", to_string(each.found.what)},
                      {"reason", each.found.reason},
                      {"measured", each.found.measured},
                      {"ms", each.took.count()}});
  // Reasons may quote what a plug-in said, in whatever bytes.
  return nlohmann::json{{"passed", all_passed(results)}, {"checks", checks}}.dump(
             2, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

bool all_passed(const std::vector<result>& results) noexcept {
  return std::none_of(results.begin(), results.end(),
                      [](const result& each) { return each.found.what == verdict::failed; });
}

}  // namespace troupe::conformance
