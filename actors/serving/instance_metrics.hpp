#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <mutex>
#include <vector>

namespace troupe {

/// What the instances of a model measure (`loaded_model::metrics`), summed over them: what one has counted stays when
/// it ends, and what it gauges goes with it. Thread-safe.
class instance_metrics {
 public:
  /// The part of one instance, from its start to its end.
  class part;

  /// Of metrics that are valid.
  explicit instance_metrics(std::vector<metric_spec> specs);

  const std::vector<metric_spec>& specs() const noexcept { return specs_; }

  /// In the order of `specs()`.
  std::vector<double> read() const;

 private:
  const std::vector<metric_spec> specs_;
  mutable std::mutex mutex_;
  std::vector<double> counted_;     // by instances that have ended; guarded by mutex_, as is the next
  std::vector<const part*> parts_;  // of those that have not
};

/// For one thread at a time; `of` outlives it.
class instance_metrics::part {
 public:
  explicit part(instance_metrics& of);
  ~part();
  part(const part&) = delete;
  part& operator=(const part&) = delete;

  /// Asks the instance, on the thread that has it. Costs nothing where there is nothing to measure.
  void take(const instance& from);

 private:
  friend class instance_metrics;

  instance_metrics& of_;
  std::vector<double> asked_;
  std::vector<double> values_;  // guarded by the mutex of `of_`
};

}  // namespace troupe
