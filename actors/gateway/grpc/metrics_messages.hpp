#pragma once

#include "io/prometheus/client/metrics.pb.h"

#include <prometheus/metric_family.h>

namespace troupe {

/// A family of metrics as Prometheus has it on the wire.
void describe_metrics(const prometheus::MetricFamily& family, io::prometheus::client::MetricFamily& to);

}  // namespace troupe
