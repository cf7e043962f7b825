#pragma once

#include "actors/supervision/supervisor_report.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

class device_table;
class router;

/// Everything that a node counts, as Prometheus' client library has metrics. What queues, models and pools count for
/// themselves is read when somebody asks, so that it costs a request nothing; what happens now and then, such as a
/// restart, is counted as it happens. Each is described by its `help`. Thread-safe.
class node_metrics {
 public:
  node_metrics(std::shared_ptr<router> routes, std::shared_ptr<device_table> devices);
  ~node_metrics();

  /// Counts what it is told; for every supervisor of the node. May outlive this.
  report_sink on_report() const;

  /// Has what somebody else counts told, too, such as a gateway.
  void add(std::shared_ptr<const prometheus::Collectable> counts);

  /// All families, in a fixed order.
  std::vector<prometheus::MetricFamily> collect() const;

 private:
  class supervision;

  const std::shared_ptr<router> routes_;
  const std::shared_ptr<device_table> devices_;
  const std::shared_ptr<supervision> supervision_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const prometheus::Collectable>> others_;
};

}  // namespace troupe
