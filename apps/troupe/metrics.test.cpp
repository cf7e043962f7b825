#include "apps/troupe/metrics.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

struct metrics_test : testing::Test {
  metrics_test() {
    auto& refused = *response.add_families();
    refused.set_name("refused_total");
    refused.set_help("Requests");
    refused.set_type(io::prometheus::client::COUNTER);
    add(refused, "a").mutable_counter()->set_value(3);
    add(refused, "b\"\n").mutable_counter()->set_value(4);
    auto& sizes = *response.add_families();
    sizes.set_name("sizes");
    sizes.set_type(io::prometheus::client::HISTOGRAM);
    auto& histogram = *add(sizes, "a").mutable_histogram();
    histogram.set_sample_count(2);
    histogram.set_sample_sum(5);
    auto& bucket = *histogram.add_bucket();
    bucket.set_cumulative_count(1);
    bucket.set_upper_bound(4);
  }

  static io::prometheus::client::Metric& add(io::prometheus::client::MetricFamily& to, const std::string& model) {
    auto& metric = *to.add_metric();
    auto& label = *metric.add_label();
    label.set_name("model");
    label.set_value(model);
    return metric;
  }

  node::v1::MetricsResponse response;
};

TEST_F(metrics_test, sums_up_what_has_the_labels) {
  EXPECT_EQ(value_of(response, "refused_total", {}), 7);
  EXPECT_EQ(value_of(response, "refused_total", {{"model", "a"}}), 3);
  EXPECT_EQ(value_of(response, "sizes", {{"model", "a"}}), 2);
  EXPECT_EQ(value_of(response, "refused_total", {{"model", "c"}}), 0);
  EXPECT_EQ(value_of(response, "refused_total", {{"colour", "a"}}), 0);
  EXPECT_EQ(value_of(response, "nothing", {}), 0);
}

TEST_F(metrics_test, are_printed_as_prometheus_reads_them) {
  EXPECT_EQ(to_exposition(response),
            "# HELP refused_total Requests\n"
            "# TYPE refused_total counter\n"
            "refused_total{model=\"a\"} 3\n"
            "refused_total{model=\"b\\\"\\n\"} 4\n"
            "# TYPE sizes histogram\n"
            "sizes_count{model=\"a\"} 2\n"
            "sizes_sum{model=\"a\"} 5\n"
            "sizes_bucket{model=\"a\",le=\"4\"} 1\n"
            "sizes_bucket{model=\"a\",le=\"+Inf\"} 2\n");
}

}  // namespace
}  // namespace troupe::cli
