#pragma once

#include "skillsets/sdk/skillset.hpp"
#include "skillsets/text_generation/generation.hpp"
#include "skillsets/text_generation/prefill_pace.hpp"
#include "skillsets/text_generation/sequence_cache.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

namespace troupe {

struct engine_settings {
  std::size_t parallel = 8;      ///< texts at once
  std::size_t cache_tokens = 0;  ///< that all texts together have in memory
  std::size_t kept = 8;          ///< texts kept after their end, for those that begin alike
  std::size_t chunk = 128;       ///< tokens of prompts in one step, at most
  std::chrono::milliseconds step =
      std::chrono::milliseconds{50};  ///< that others may have to wait for a part of a prompt
  std::size_t threads = 1;
  bool exact = false;  ///< every text has a memory of its own, so that nothing of it depends on others
};

/// Writes many texts at once: in each step every text that is past its prompt gets its next token, and prompts are read
/// in pieces beside that, as large as the time that the others may have to wait allows. All of them share one memory,
/// in which texts that begin alike share their beginning; when it is full, texts kept from before are forgotten, and
/// then the least urgent of those that came last begins again later. A prompt that nobody wants any more is left at
/// once, in the middle of a step.
class generation_engine final : public continuous_instance, private cache_memory {
 public:
  struct counts {
    std::uint64_t prompts = 0;    ///< tokens of prompts that were let in
    std::uint64_t generated = 0;  ///< tokens that were chosen
    std::uint64_t computed = 0;   ///< tokens, of prompts and answers
    std::uint64_t reused = 0;     ///< tokens of prompts that were there already
    std::uint64_t unwanted = 0;   ///< tokens that were computed to the end though their request was cancelled meanwhile
    std::uint64_t preempted = 0;  ///< texts that had to begin again
    std::uint64_t aborted = 0;    ///< steps
  };

  /// RESOURCE_EXHAUSTED where there is no memory for it.
  static expected<std::unique_ptr<generation_engine>> make(const text_model& model, const engine_settings& settings);
  ~generation_engine() override;

  std::size_t capacity() const noexcept override { return settings_.parallel; }
  expected<void> admit(work_item& item) override;
  expected<void> step() override;
  void evict(work_item& item) noexcept override;

  /// What is measured: generation_metrics.cpp.
  static std::vector<metric_spec> metrics();
  void measure(std::span<double> values) const noexcept override;

  const counts& counted() const noexcept { return counts_; }

  /// For tests: done before every computation.
  std::function<void()> on_step = [] {};

 private:
  /// A text that is in: `done` of its tokens are in the memory.
  struct text {
    std::unique_ptr<generation> writing;
    std::uint64_t arrival;
    std::optional<std::int32_t> sequence;
    std::size_t done = 0;
    std::size_t taken = 0;               // of its tokens, into the step that is prepared
    std::optional<std::int32_t> output;  // of that step, where it gets its next token
    std::atomic<bool> awaited = false;   // in the step that runs, and not cancelled
    std::optional<std::stop_callback<std::function<void()>>> on_cancel;

    std::size_t left() const { return writing->tokens().size() - done; }
  };

  generation_engine(const text_model& model, const engine_settings& settings, llama::context_ptr context);

  void copy(std::int32_t from, std::int32_t to, std::size_t count) override;
  void truncate(std::int32_t sequence, std::size_t count) override;

  std::vector<text*> in_order();
  bool begin_text(text& one, const std::vector<text*>& others);
  void prepare();
  void take(text& one, std::size_t count);
  expected<int> compute();
  bool make_room();
  void settle(bool computed);
  void choose();
  bool advance(text& one, std::int32_t output);
  void end(text& one, bool keep);
  void on_cancelled(text& one) noexcept;
  bool await_step();

  const text_model& model_;
  const engine_settings settings_;
  std::unique_ptr<llama::thread_team> team_;  // before the context that uses it
  llama::context_ptr context_;
  llama_batch batch_;
  sequence_cache cache_;
  std::list<text> texts_;
  std::uint64_t arrivals_ = 0;
  prefill_pace pace_;
  counts counts_;

  std::size_t reading_ = 0;               // tokens of prompts in the step that is prepared
  bool full_ = false;                     // until a text ends, nobody begins
  bool spare_ = false;                    // the step before was given up, and this one is to end
  std::atomic<bool> may_abort_ = false;   // where others would wait for a prompt that nobody wants
  std::atomic<std::size_t> awaited_ = 0;  // texts of the step that runs
  std::atomic<bool> abort_ = false;
};

}  // namespace troupe
