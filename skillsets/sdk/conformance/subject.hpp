#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace troupe::conformance {

/// How much is tried, and what is asked for.
struct options {
  std::uint64_t seed = 0;
  std::size_t random_inputs = 10'000;
  std::size_t cycles = 200;         ///< of loading, inferring and unloading
  std::size_t cancellations = 100;  ///< at random moments
  std::size_t instances = 2;        ///< that work at once

  /// Answers to equal requests are equal. False for a model that draws lots.
  bool deterministic = true;

  /// How far a floating-point element may be from another run's, as a part of the largest of its tensor: engines add up
  /// in another order when the company changes.
  double tolerance = 1e-3;

  /// How long work may go on after it was cancelled.
  std::chrono::milliseconds cancel_grace = std::chrono::seconds{2};

  /// How long a random request may take before it is cancelled, as a client with a deadline would.
  std::chrono::milliseconds patience{250};

  /// Requests that the model can answer, besides the warm-up request and what is made up after its example.
  std::vector<inference_request> examples;
};

/// What became of one request.
struct outcome {
  std::vector<inference_response> responses;
  std::optional<error> failure;
  bool ended = false;  ///< it had its last word
};

/// The skillset that is looked at, with one model of its, and what the checks share: loading, running and making up
/// requests. What the skillset throws becomes an INTERNAL error. For one thread, but for `run_all`.
class subject {
 public:
  subject(skillset& skills, model_settings settings, options how);

  skillset& skills() const noexcept { return skills_; }
  const model_settings& settings() const noexcept { return settings_; }
  const options& how() const noexcept { return how_; }

  expected<std::unique_ptr<loaded_model>> load(const cancel_token& token = {}) { return load(settings_, token); }
  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token = {});

  /// An instance that has answered its warm-up request, of a model that is loaded once for all checks that don't load
  /// one themselves.
  expected<instance*> worker();
  expected<std::unique_ptr<instance>> make_worker(loaded_model& model);

  /// The model of `worker()`. Only after that succeeded.
  loaded_model& model() const noexcept { return *model_; }

  /// Lets go of model and instance.
  void unload();

  /// A request that the model should be able to answer: like its warm-up, or one of the examples, with other values
  /// where any will do.
  inference_request make_request();

  /// One that fits the signature and nothing else: any values, any extents that may be anything.
  inference_request make_random_request();

  std::mt19937_64& random() noexcept { return random_; }

 private:
  skillset& skills_;
  const model_settings settings_;
  const options how_;
  std::mt19937_64 random_;
  std::unique_ptr<loaded_model> model_;
  std::unique_ptr<instance> worker_;
};

/// Runs requests together on an instance, and gives what became of each. An error is the batch's.
expected<std::vector<outcome>> run_all(instance& worker, std::span<const inference_request> requests,
                                       const cancel_token& token);

/// Why two answers are not the same; empty when they are.
std::string difference(const std::vector<inference_response>& a, const std::vector<inference_response>& b,
                       double tolerance);

}  // namespace troupe::conformance
