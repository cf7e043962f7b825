#include "skillsets/text_generation/generation_engine.hpp"

#include <iterator>

namespace troupe {
namespace {

using kind = metric_spec::kind;

/// What of an engine is told.
struct numbers {
  const generation_engine::counts& counted;
  std::size_t texts;
  std::size_t held;
  std::size_t room;
};

struct measurement {
  const char* name;
  const char* help;
  kind is;
  double (*read)(const numbers& of);
};

constexpr measurement all[] = {
    {"prompt_tokens", "Tokens of prompts, and of texts to embed", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.prompts); }},
    {"generated_tokens", "Tokens that were chosen for answers", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.generated); }},
    {"cached_tokens", "Tokens that were in memory already, and not computed again", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.reused); }},
    {"computed_tokens", "Tokens that were computed, of prompts and of answers", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.computed); }},
    {"discarded_tokens", "Tokens that were computed although their reader had left: those of the step that ran then",
     kind::counter, [](const numbers& of) { return static_cast<double>(of.counted.unwanted); }},
    {"preempted_texts", "Texts that made room for more urgent ones, and began again", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.preempted); }},
    {"aborted_steps", "Steps that were given up because nobody wanted them any more", kind::counter,
     [](const numbers& of) { return static_cast<double>(of.counted.aborted); }},
    {"running_texts", "Texts that are read or written", kind::gauge,
     [](const numbers& of) { return static_cast<double>(of.texts); }},
    {"cache_used_tokens", "Tokens in memory, of texts that run and of those that are kept; a common beginning once",
     kind::gauge, [](const numbers& of) { return static_cast<double>(of.held); }},
    {"cache_tokens", "Tokens that memory has room for", kind::gauge,
     [](const numbers& of) { return static_cast<double>(of.room); }},
};

}  // namespace

std::vector<metric_spec> generation_engine::metrics() {
  std::vector<metric_spec> specs;
  for (const auto& each : all)
    specs.push_back({each.name, each.help, each.is});
  return specs;
}

void generation_engine::measure(std::span<double> values) const noexcept {
  const numbers now{counts_, texts_.size(), cache_.held(), settings_.cache_tokens};
  for (std::size_t i = 0; i != values.size() && i != std::size(all); ++i)
    values[i] = all[i].read(now);
}

}  // namespace troupe
