#include "apps/troupe/metrics.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"

#include <google/protobuf/util/json_util.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = io::prometheus::client;

prometheus::MetricType type_of(wire::MetricType type) {
  switch (type) {
    case wire::COUNTER:
      return prometheus::MetricType::Counter;
    case wire::GAUGE:
      return prometheus::MetricType::Gauge;
    case wire::SUMMARY:
      return prometheus::MetricType::Summary;
    case wire::HISTOGRAM:
      return prometheus::MetricType::Histogram;
    case wire::UNTYPED:
      break;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric from_wire(const wire::Metric& metric) {
  prometheus::ClientMetric result;
  for (const auto& label : metric.label())
    result.label.push_back({label.name(), label.value()});
  result.counter.value = metric.counter().value();
  result.gauge.value = metric.gauge().value();
  result.untyped.value = metric.untyped().value();
  result.summary.sample_count = metric.summary().sample_count();
  result.summary.sample_sum = metric.summary().sample_sum();
  for (const auto& one : metric.summary().quantile())
    result.summary.quantile.push_back({one.quantile(), one.value()});
  result.histogram.sample_count = metric.histogram().sample_count();
  result.histogram.sample_sum = metric.histogram().sample_sum();
  for (const auto& one : metric.histogram().bucket())
    result.histogram.bucket.push_back({one.cumulative_count(), one.upper_bound()});
  return result;
}

bool has(const wire::Metric& metric, const std::map<std::string, std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
    return std::any_of(metric.label().begin(), metric.label().end(), [&](const auto& label) {
      return label.name() == wanted.first && label.value() == wanted.second;
    });
  });
}

double value_of(const wire::Metric& metric) {
  return metric.counter().value() + metric.gauge().value() + metric.untyped().value() +
         static_cast<double>(metric.summary().sample_count() + metric.histogram().sample_count());
}

}  // namespace

double value_of(const node::v1::MetricsResponse& metrics, std::string_view family,
                const std::map<std::string, std::string>& labels) {
  double sum = 0;
  for (const auto& each : metrics.families())
    if (each.name() == family)
      for (const auto& metric : each.metric())
        if (has(metric, labels))
          sum += value_of(metric);
  return sum;
}

std::string to_exposition(const node::v1::MetricsResponse& metrics) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& family : metrics.families()) {
    families.push_back({family.name(), family.help(), type_of(family.type()), {}});
    for (const auto& metric : family.metric())
      families.back().metric.push_back(from_wire(metric));
  }
  return prometheus::TextSerializer{}.Serialize(families);
}

expected<void> metrics(session& with) {
  const auto found = with.node.metrics();
  if (!found)
    return found.error();
  std::string text;
  if (!with.json)
    text = to_exposition(*found);
  else if (const auto written = google::protobuf::util::MessageToJsonString(*found, &text); !written.ok())
    return make_error(status_code::internal, "the metrics can't be written as JSON: " + std::string{written.message()});
  else
    text += "\n";
  with.out.print(text);
  return {};
}

}  // namespace troupe::cli
