#include "actors/gateway/grpc/metrics_messages.hpp"

namespace troupe {
namespace {

namespace wire = io::prometheus::client;
using prometheus::MetricType;

wire::MetricType wire_type(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return wire::COUNTER;
    case MetricType::Gauge:
      return wire::GAUGE;
    case MetricType::Summary:
      return wire::SUMMARY;
    case MetricType::Histogram:
      return wire::HISTOGRAM;
    case MetricType::Untyped:
      break;
  }
  return wire::UNTYPED;
}

void describe(const prometheus::ClientMetric::Summary& summary, wire::Summary& to) {
  to.set_sample_count(summary.sample_count);
  to.set_sample_sum(summary.sample_sum);
  for (const auto& [quantile, value] : summary.quantile) {
    auto& one = *to.add_quantile();
    one.set_quantile(quantile);
    one.set_value(value);
  }
}

void describe(const prometheus::ClientMetric::Histogram& histogram, wire::Histogram& to) {
  to.set_sample_count(histogram.sample_count);
  to.set_sample_sum(histogram.sample_sum);
  for (const auto& [count, bound] : histogram.bucket) {
    auto& one = *to.add_bucket();
    one.set_cumulative_count(count);
    one.set_upper_bound(bound);
  }
}

void describe_value(const prometheus::ClientMetric& metric, MetricType type, wire::Metric& to) {
  switch (type) {
    case MetricType::Counter:
      return to.mutable_counter()->set_value(metric.counter.value);
    case MetricType::Gauge:
      return to.mutable_gauge()->set_value(metric.gauge.value);
    case MetricType::Summary:
      return describe(metric.summary, *to.mutable_summary());
    case MetricType::Histogram:
      return describe(metric.histogram, *to.mutable_histogram());
    case MetricType::Untyped:
      return to.mutable_untyped()->set_value(metric.untyped.value);
  }
}

}  // namespace

void describe_metrics(const prometheus::MetricFamily& family, wire::MetricFamily& to) {
  to.set_name(family.name);
  to.set_help(family.help);
  to.set_type(wire_type(family.type));
  for (const auto& metric : family.metric) {
    auto& one = *to.add_metric();
    for (const auto& label : metric.label) {
      auto& pair = *one.add_label();
      pair.set_name(label.name);
      pair.set_value(label.value);
    }
    describe_value(metric, family.type, one);
  }
}

}  // namespace troupe
