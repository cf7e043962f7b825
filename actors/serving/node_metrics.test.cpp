#include "actors/serving/node_metrics.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/testing.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

namespace troupe {
namespace {

using testing_support::make_ready;
using testing_support::recorded_call;
using wanted = std::map<std::string, std::string>;

struct node_metrics_test : testing::Test {
  std::shared_ptr<served_model> add_model(const std::string& name) const {
    model_folder folder;
    folder.name = name;
    folder.queue.capacity = 2;
    auto model = std::make_shared<served_model>(std::move(folder), [] {});
    routes->insert(model);
    return model;
  }

  /// The one metric of a family that has these labels.
  std::optional<prometheus::ClientMetric> find(const std::string& family, const wanted& labels) const {
    std::optional<prometheus::ClientMetric> found;
    for (const auto& each : metrics.collect())
      for (const auto& metric : each.metric) {
        wanted has;
        for (const auto& label : metric.label)
          has[label.name] = label.value;
        if (each.name != family || !std::includes(has.begin(), has.end(), labels.begin(), labels.end()))
          continue;
        EXPECT_FALSE(found) << family << " is there twice";
        found = metric;
      }
    return found;
  }

  double counter(const std::string& family, const wanted& labels) const {
    const auto found = find(family, labels);
    return found ? found->counter.value : -1;
  }

  std::shared_ptr<router> routes = std::make_shared<router>();
  std::shared_ptr<device_table> devices = std::make_shared<device_table>();
  node_metrics metrics{routes, devices};
};

TEST_F(node_metrics_test, every_family_is_there_once_with_a_name_and_help) {
  make_ready(*add_model("a"));
  signature stateful;
  stateful.stateful = true;
  make_ready(*add_model("b"), stateful);
  devices->insert({"CPU", 1}, std::make_shared<executor_pool>("CPU", pool_capacity{1}));
  std::set<std::string> names;
  for (const auto& family : metrics.collect()) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    EXPECT_EQ(family.name.rfind("troupe_", 0), 0u) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    const bool counts = family.name.ends_with("_total");
    EXPECT_EQ(counts, family.type == prometheus::MetricType::Counter) << family.name;
  }
  EXPECT_TRUE(names.count("troupe_pool_threads") && names.count("troupe_queue_requests"));
}

TEST_F(node_metrics_test, counts_what_queues_refuse_and_what_leaves_them) {
  const auto model = add_model("m");
  EXPECT_EQ(find("troupe_model_ready", {{"model", "m"}})->gauge.value, 0);
  EXPECT_FALSE(find("troupe_queue_requests", {{"model", "m"}})) << "it is not known before it was loaded";
  make_ready(*model);
  EXPECT_EQ(find("troupe_model_ready", {{"model", "m"}})->gauge.value, 1);
  std::vector<std::shared_ptr<recorded_call>> calls;
  for (int i = 0; i != 3; ++i) {
    calls.push_back(std::make_shared<recorded_call>());
    static_cast<void>(model->submit(calls.back()));
  }
  EXPECT_EQ(find("troupe_queue_requests", {{"model", "m"}})->gauge.value, 2);
  EXPECT_EQ(counter("troupe_queue_admitted_total", {{"model", "m"}}), 2);
  EXPECT_EQ(counter("troupe_queue_refused_total", {{"model", "m"}}), 1);
  calls[0]->scope().cancel(make_error(status_code::cancelled, "gone"));
  EXPECT_TRUE(model->withdraw(*calls[0]));
  model->set_unloading();
  model->set_unloaded();
  const auto cancelled = [&](const char* cause, const char* stage) {
    return counter("troupe_requests_cancelled_total", {{"model", "m"}, {"cause", cause}, {"stage", stage}});
  };
  EXPECT_EQ(cancelled("client", "queued"), 1);
  EXPECT_EQ(cancelled("unload", "queued"), 1);
  EXPECT_EQ(cancelled("unload", "running"), 0);
  EXPECT_EQ(cancelled("stop", "queued"), 0);
  EXPECT_EQ(counter("troupe_queue_withdrawn_total", {{"model", "m"}}), 2);
}

TEST_F(node_metrics_test, counts_the_sequences_of_stateful_models) {
  make_ready(*add_model("none"));
  const auto model = add_model("m");
  signature what;
  what.stateful = true;
  make_ready(*model, what);
  auto& counts = model->of_sequences();
  counts.live = 2, counts.started = 5, counts.expired = 3, counts.refused = 4;
  EXPECT_EQ(find("troupe_sequences", {{"model", "m"}})->gauge.value, 2);
  EXPECT_EQ(counter("troupe_sequences_started_total", {{"model", "m"}}), 5);
  EXPECT_EQ(counter("troupe_sequences_expired_total", {{"model", "m"}}), 3);
  EXPECT_EQ(counter("troupe_sequence_requests_refused_total", {{"model", "m"}}), 4);
  EXPECT_FALSE(find("troupe_sequences", {{"model", "none"}}));
}

TEST_F(node_metrics_test, tells_the_causes_of_cancellation_apart) {
  const auto model = add_model("m");
  model->count_cancelled(make_error(status_code::cancelled, ""), cancel_stage::running);
  model->count_cancelled(make_error(status_code::deadline_exceeded, ""), cancel_stage::running);
  model->count_cancelled(make_error(status_code::unavailable, ""), cancel_stage::running);
  model->set_unloading();
  model->count_cancelled(make_error(status_code::unavailable, ""), cancel_stage::running);
  for (const auto* cause : {"client", "deadline", "stop", "unload"})
    EXPECT_EQ(counter("troupe_requests_cancelled_total", {{"cause", cause}, {"stage", "running"}}), 1) << cause;
}

TEST_F(node_metrics_test, batches_are_counted_by_their_size) {
  const auto model = add_model("m");
  for (const std::int64_t items : {1, 1, 2, 5, 8, 8})
    model->counts().batch_executed(items, std::chrono::milliseconds{500});
  const auto batches = find("troupe_batch_items", {{"model", "m"}})->histogram;
  EXPECT_EQ(batches.sample_count, 6u);
  EXPECT_EQ(batches.sample_sum, 25);
  std::vector<std::pair<double, std::uint64_t>> buckets;
  for (const auto& bucket : batches.bucket)
    buckets.emplace_back(bucket.upper_bound, bucket.cumulative_count);
  EXPECT_EQ(buckets, (std::vector<std::pair<double, std::uint64_t>>{{1, 2}, {2, 3}, {4, 3}, {8, 6}}));
  EXPECT_EQ(find("troupe_batch_seconds", {{"model", "m"}})->summary.sample_sum, 3);
}

TEST_F(node_metrics_test, waits_are_counted_by_their_length) {
  using namespace std::chrono_literals;
  const auto model = add_model("m");
  for (const steady_clock::duration wait : {0ms, 1ms, 2ms, 151ms, 200ms, 200ms, 11000ms})
    model->counts().request_executed(wait, 1ms);
  const auto waits = find("troupe_queue_waited_seconds", {{"model", "m"}})->histogram;
  EXPECT_EQ(waits.sample_count, 7u);
  EXPECT_DOUBLE_EQ(waits.sample_sum, 11.554);
  std::map<double, std::uint64_t> within;
  for (const auto& bucket : waits.bucket)
    within[bucket.upper_bound] = bucket.cumulative_count;
  EXPECT_EQ(within[0.001], 2u);
  EXPECT_EQ(within[0.15], 3u);
  EXPECT_EQ(within[0.2], 6u);
  EXPECT_EQ(within[10], 6u);
  EXPECT_EQ(waits.bucket.back().cumulative_count, 7u);
}

TEST_F(node_metrics_test, shares_of_one_name_are_one) {
  const auto pool = std::make_shared<executor_pool>("CPU", pool_capacity{.threads = 3, .bytes = 100});
  devices->insert({"CPU", 1}, pool);
  const auto before = pool->open_share({"m"}), after = pool->open_share({"m"});
  const auto memory = pool->reserve(40);
  EXPECT_TRUE(find("troupe_share_seconds", {{"device", "CPU"}, {"model", "m"}}));
  EXPECT_EQ(find("troupe_pool_threads", {{"device", "CPU"}})->gauge.value, 3);
  EXPECT_EQ(find("troupe_pool_reserved_bytes", {{"device", "CPU"}})->gauge.value, 40);
}

TEST_F(node_metrics_test, a_child_that_runs_again_after_it_failed_was_restarted) {
  const auto count = metrics.on_report();
  const auto report = [&](const char* child, report_context what) {
    supervisor_report said;
    said.supervisor = "m";
    said.child = child;
    said.context = what;
    count(said);
  };
  report("m/0", report_context::progress);
  report("m/1", report_context::progress);
  EXPECT_EQ(counter("troupe_child_restarts_total", {}), -1);
  report("m/0", report_context::child_terminated);
  report("m/0", report_context::start_error);
  report("m/0", report_context::progress);
  report("m/1", report_context::progress);  // that of a child that was stopped with its neighbour
  EXPECT_EQ(counter("troupe_child_restarts_total", {{"supervisor", "m"}}), 1);
  EXPECT_EQ(counter("troupe_child_failures_total", {{"supervisor", "m"}}), 2);
  report("m/1", report_context::child_terminated);
  report("", report_context::shutdown);
  EXPECT_EQ(counter("troupe_supervisor_ends_total", {{"supervisor", "m"}}), 1);
}

TEST_F(node_metrics_test, shows_what_instances_measure_by_the_name_of_their_skillset) {
  testing_support::counting_skillset skills;
  const auto add_measuring = [&](const char* name, std::vector<metric_spec> what) {
    model_folder folder;
    folder.name = name;
    folder.skills = testing_support::borrowed(skills);
    auto model = std::make_shared<served_model>(std::move(folder), [] {});
    routes->insert(model);
    make_ready(*model, {}, {}, std::move(what));
    return model;
  };
  testing_support::counting_instance engine;
  engine.steps = 3;
  const auto model = add_measuring("m", testing_support::counting_instance::metrics());
  instance_metrics::part one{model->metrics()};
  one.take(engine);
  EXPECT_EQ(counter("troupe_skillset_counting_steps_total", {{"model", "m"}, {"version", "1"}}), 3);
  EXPECT_EQ(find("troupe_skillset_counting_guests", {{"model", "m"}})->gauge.value, 0);
  add_measuring("other", {{"steps_total", "Is called as the counter is", metric_spec::kind::gauge}});
  EXPECT_FALSE(find("troupe_skillset_counting_steps_total", {{"model", "other"}})) << "a family is of one kind";
}

}  // namespace
}  // namespace troupe
