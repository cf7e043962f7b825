#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/argument.hpp"
#include "apps/troupe/fwd.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

struct tune_options {
  std::string model;                   ///< its folder
  std::vector<std::string> skillsets;  ///< folders to look into besides the node's own
  std::vector<input_argument> inputs;  ///< of the request to measure with; empty: made up from the signature
  int in_flight = 32;                  ///< requests at once
  std::chrono::duration<double> window{1};
  bool apply = false;  ///< write what is proposed into model.toml
};

/// What is tried of a model's settings.
struct tuning {
  std::int64_t instances = 1;
  std::int64_t threads = 1;
  std::int64_t max_batch = 1;  ///< 0: as the skillset has it
  std::int64_t max_delay_ms = 0;

  friend bool operator==(const tuning&, const tuning&) = default;
};

/// The ways to share `slots` out between instances and their threads, and the batches to try with each: powers of two,
/// up to `most_batch`, and those that `in_flight` requests can fill.
std::vector<tuning> tunings_to_try(std::int64_t slots, std::int64_t most_batch, int in_flight);

/// Finds out which settings serve a model best on this machine: starts a node of its own with the model, loads it again
/// and again with other numbers of instances, threads, items a batch and delays, and measures each under a constant
/// number of requests in flight. Prints a table and a proposal: the most throughput, and of what is within 3 % of that,
/// the shortest p99. What has neither 3 % more throughput than what is there, nor as much with a p99 that is shorter by
/// a tenth, is not proposed.
expected<void> tune(session& with, const tune_options& options);

}  // namespace troupe::cli
