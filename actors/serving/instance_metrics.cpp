#include "actors/serving/instance_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace troupe {

instance_metrics::instance_metrics(std::vector<metric_spec> specs)
    : specs_(std::move(specs)), counted_(specs_.size()) {}

std::vector<double> instance_metrics::read() const {
  const std::lock_guard lock{mutex_};
  auto sums = counted_;
  for (const auto* each : parts_)
    std::transform(sums.begin(), sums.end(), each->values_.begin(), sums.begin(), std::plus{});
  return sums;
}

instance_metrics::part::part(instance_metrics& of) : of_(of), values_(of.specs_.size()) {
  const std::lock_guard lock{of_.mutex_};
  of_.parts_.push_back(this);
}

instance_metrics::part::~part() {
  const std::lock_guard lock{of_.mutex_};
  for (std::size_t i = 0; i != values_.size(); ++i)
    if (of_.specs_[i].is == metric_spec::kind::counter)
      of_.counted_[i] += values_[i];
  std::erase(of_.parts_, this);
}

void instance_metrics::part::take(const instance& from) {
  if (values_.empty())
    return;
  asked_ = values_;  // what it doesn't say is what it was; nobody else writes it
  from.measure(asked_);
  const std::lock_guard lock{of_.mutex_};
  for (std::size_t i = 0; i != values_.size(); ++i)
    if (std::isfinite(asked_[i]) && (of_.specs_[i].is == metric_spec::kind::gauge || asked_[i] >= values_[i]))
      values_[i] = asked_[i];
}

}  // namespace troupe
