#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include "troupe/node/v1/node.pb.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace troupe::cli {

/// A value of a metric by its name and some of its labels: of a counter or gauge the value, of a summary or histogram
/// the count, summed up over all metrics that have these labels.
double value_of(const node::v1::MetricsResponse& metrics, std::string_view family,
                const std::map<std::string, std::string>& labels);

/// As Prometheus reads them (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4).
std::string to_exposition(const node::v1::MetricsResponse& metrics);

/// Prints everything that the node counts, as Prometheus reads it.
expected<void> metrics(session& with);

}  // namespace troupe::cli
