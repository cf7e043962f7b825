#include "actors/serving/node_metrics.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

double seconds(steady_clock::duration time) {
  return std::chrono::duration<double>{time}.count();
}

/// Families that are filled value by value; each appears once, where it was first named.
class families {
 public:
  void counter(const char* name, const char* help, labels of, std::uint64_t value) {
    add(name, help, MetricType::Counter, std::move(of)).counter.value = static_cast<double>(value);
  }

  void gauge(const char* name, const char* help, labels of, double value) {
    add(name, help, MetricType::Gauge, std::move(of)).gauge.value = value;
  }

  void summary(const char* name, const char* help, labels of, const duration_total& total) {
    auto& to = add(name, help, MetricType::Summary, std::move(of)).summary;
    to.sample_count = total.count;
    to.sample_sum = static_cast<double>(total.ns) / 1e9;
  }

  /// What a skillset measures. Models of one may measure different things by one name: the first says what it is.
  void measured(const std::string& name, const metric_spec& what, labels of, double value) {
    const bool counts = what.is == metric_spec::kind::counter;
    const auto type = counts ? MetricType::Counter : MetricType::Gauge;
    const auto family = "skillset_" + name + "_" + what.name + (counts ? "_total" : "");
    if (const auto known = places_.find(family); known != places_.end() && all_[known->second].type != type)
      return;
    auto& metric = add(family, what.help, type, std::move(of));
    (counts ? metric.counter.value : metric.gauge.value) = value;
  }

  /// By powers of two.
  void sizes(const char* name, const char* help, labels of, const std::map<std::int64_t, duration_total>& by_size) {
    auto& to = add(name, help, MetricType::Histogram, std::move(of)).histogram;
    for (const auto& [size, total] : by_size) {
      to.sample_count += total.count;
      to.sample_sum += static_cast<double>(size) * static_cast<double>(total.count);
    }
    const auto largest = by_size.empty() ? 1 : by_size.rbegin()->first;
    auto next = by_size.begin();
    std::uint64_t so_far = 0;
    for (std::int64_t bound = 1;; bound *= 2) {
      for (; next != by_size.end() && next->first <= bound; ++next)
        so_far += next->second.count;
      to.bucket.push_back({so_far, static_cast<double>(bound)});
      if (bound >= largest)
        break;
    }
  }

  /// By `wait_bounds`.
  void waits(const char* name, const char* help, labels of, const model_statistics::snapshot& done) {
    auto& to = add(name, help, MetricType::Histogram, std::move(of)).histogram;
    for (std::size_t i = 0; i != done.waits.size(); ++i) {
      to.sample_count += done.waits[i];
      const bool last = i == wait_bounds.size();
      to.bucket.push_back({to.sample_count, last ? std::numeric_limits<double>::infinity() : seconds(wait_bounds[i])});
    }
    to.sample_sum = static_cast<double>(done.queue.ns) / 1e9;
  }

  std::vector<MetricFamily> take() && { return std::move(all_); }

 private:
  ClientMetric& add(const std::string& name, const std::string& help, MetricType type, labels of) {
    const auto [at, is_new] = places_.emplace(name, all_.size());
    if (is_new)
      all_.push_back({"troupe_" + name, help, type, {}});
    auto& metrics = all_[at->second].metric;
    metrics.emplace_back();
    metrics.back().label = std::move(of);
    return metrics.back();
  }

  std::vector<MetricFamily> all_;
  std::map<std::string, std::size_t> places_;
};

labels with(labels of, const char* name, std::string_view value) {
  of.push_back({name, std::string{value}});
  return of;
}

void collect_queue(const labels& of, const request_queue& queue, families& to) {
  const auto now = queue.stats();
  to.gauge("queue_requests", "Requests that wait", of, static_cast<double>(now.queued));
  to.gauge("queue_capacity_requests", "Requests that may wait", of, static_cast<double>(queue.options().capacity));
  to.gauge("queue_wait_seconds", "How long a request that comes now is foretold to wait", of, seconds(now.wait));
  to.gauge("idle_instances", "Instances that wait for requests", of, static_cast<double>(now.idle_workers));
  to.counter("queue_admitted_total", "Requests that were let into the queue", of, now.admitted);
  to.counter("queue_refused_total", "Requests that were refused at once, or made room for another client's", of,
             now.refused);
  to.counter("queue_expired_total", "Requests that waited longer than allowed", of, now.expired);
  to.counter("queue_withdrawn_total", "Requests that were cancelled while they waited, and never ran", of,
             now.withdrawn);
}

void collect_sequences(const labels& of, const sequence_counts& counts, families& to) {
  to.gauge("sequences", "Sequences of a stateful model that have begun and are not over", of,
           static_cast<double>(counts.live));
  to.counter("sequences_started_total", "Sequences that have begun", of, counts.started);
  to.counter("sequences_expired_total", "Sequences that had no request for too long", of, counts.expired);
  to.counter("sequence_requests_refused_total", "Requests for which their sequence, or a new one, found no room", of,
             counts.refused);
}

void collect_done(const labels& of, const model_statistics::snapshot& done, families& to) {
  const auto* request = "Requests that were executed, from their admission to their last answer";
  to.summary("request_seconds", request, with(of, "outcome", "success"), done.success);
  to.summary("request_seconds", request, with(of, "outcome", "fail"), done.fail);
  to.summary("request_seconds", request, with(of, "outcome", "cancel"), done.cancel);
  const auto* phase = "What executed requests spent their time with; execution is that of their whole batch";
  to.summary("request_phase_seconds", phase, with(of, "phase", "queue"), done.queue);
  to.summary("request_phase_seconds", phase, with(of, "phase", "input"), done.input);
  to.summary("request_phase_seconds", phase, with(of, "phase", "infer"), done.infer);
  to.summary("request_phase_seconds", phase, with(of, "phase", "output"), done.output);
  to.waits("queue_waited_seconds", "How long requests waited that were executed", of, done);
  for (const auto cause : all_cancel_causes)
    for (const auto stage : {cancel_stage::queued, cancel_stage::running})
      to.counter("requests_cancelled_total", "Requests that were stopped: by whom, and where they were",
                 with(with(of, "cause", to_string(cause)), "stage", to_string(stage)), done.cancelled_at(cause, stage));
  duration_total batches;
  for (const auto& [size, total] : done.batches) {
    batches.count += total.count;
    batches.ns += total.ns;
  }
  to.sizes("batch_items", "Items that ran together", of, done.batches);
  to.summary("batch_seconds", "Execution of batches", of, batches);
  to.counter("batches_retried_total", "Batches that failed and were run again in halves", of, done.retried);
}

/// A skillset's name as a part of a metric's.
std::string metric_name_of(std::string_view skillset) {
  std::string name{skillset};
  for (auto& c : name)
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
      c = '_';
  return name;
}

void collect_measured(const labels& of, const served_model& model, families& to) {
  const auto& specs = model.metrics().specs();
  if (specs.empty())
    return;
  const auto name = metric_name_of(model.folder().skills->name());
  const auto values = model.metrics().read();
  for (std::size_t i = 0; i != specs.size(); ++i)
    to.measured(name, specs[i], of, values[i]);
}

void collect(served_model& model, families& to) {
  const labels of{{"model", model.name()}, {"version", model.version()}};
  to.gauge("model_ready", "1 while the model is READY", of, model.ready() ? 1 : 0);
  const auto stuck = model.stuck();
  to.gauge("stuck_instances", "Instances in the node's own process that go on with work that was cancelled", of,
           static_cast<double>(stuck.now));
  to.counter("instances_stuck_total", "How often an instance became that", of, stuck.ever);
  if (const auto* what = model.describe()) {
    collect_queue(of, model.calls(), to);
    collect_measured(of, model, to);
    if (what->stateful)
      collect_sequences(of, model.of_sequences(), to);
  }
  collect_done(of, model.counts().read(), to);
}

void collect_shares(const labels& of, const executor_pool& pool, families& to) {
  // While a model is loaded again, two shares have its name.
  std::map<std::string, executor_pool::share_statistics> shares;
  for (auto& share : pool.share_stats()) {
    auto& sum = shares[share.name];
    sum.running += share.running;
    sum.queued += share.queued;
    sum.seconds += share.seconds;
  }
  for (const auto& [name, share] : shares) {
    const auto whose = with(of, "model", name);
    to.gauge("share_running_jobs", "Jobs of a model that run", whose, static_cast<double>(share.running));
    to.gauge("share_queued_jobs", "Jobs of a model that wait for threads", whose, static_cast<double>(share.queued));
    to.gauge("share_seconds", "Threads' time that a model has had since it was loaded", whose, share.seconds);
  }
}

void collect(const executor_pool& pool, families& to) {
  const labels of{{"device", pool.name()}};
  const auto now = pool.stats();
  to.gauge("pool_threads", "Threads of the device", of, static_cast<double>(now.threads));
  to.gauge("pool_busy_threads", "Threads that are leased", of, static_cast<double>(now.busy));
  to.gauge("pool_queued_jobs", "Jobs that wait for threads", of, static_cast<double>(now.queued));
  to.counter("pool_jobs_total", "Jobs that have ended", of, now.finished);
  to.gauge("pool_memory_bytes", "Memory for models; 0: not bounded", of, static_cast<double>(now.bytes));
  to.gauge("pool_reserved_bytes", "Memory that models have leased", of, static_cast<double>(now.reserved_bytes));
  collect_shares(of, pool, to);
}

}  // namespace

/// What supervisors report. A child that runs again after it failed was restarted.
class node_metrics::supervision {
 public:
  void count(const supervisor_report& report) {
    const auto key = std::pair{report.supervisor, report.child};
    const std::lock_guard lock{mutex_};
    switch (report.context) {
      case report_context::child_terminated:
      case report_context::start_error:
        failures_.Add({{"supervisor", report.supervisor}}).Increment();
        failed_.insert(key);
        break;
      case report_context::progress:
        if (failed_.erase(key) > 0)
          restarts_.Add({{"supervisor", report.supervisor}}).Increment();
        break;
      case report_context::shutdown:
        ends_.Add({{"supervisor", report.supervisor}}).Increment();
        break;
      case report_context::shutdown_error:
      case report_context::ended:
        failed_.erase(key);
        break;
    }
  }

  std::vector<MetricFamily> collect() const { return registry_.Collect(); }

 private:
  using counters = prometheus::Family<prometheus::Counter>;

  counters& family(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry_);
  }

  prometheus::Registry registry_;
  counters& failures_ =
      family("troupe_child_failures_total", "Actors that failed, or failed to start, by their supervisor");
  counters& restarts_ =
      family("troupe_child_restarts_total", "Actors that run again after they failed, by their supervisor");
  counters& ends_ = family("troupe_supervisor_ends_total", "Supervisors that gave up, because restarts were too many");
  std::mutex mutex_;
  std::set<std::pair<std::string, std::string>> failed_;  // and not restarted since
};

node_metrics::node_metrics(std::shared_ptr<router> routes, std::shared_ptr<device_table> devices)
    : routes_(std::move(routes)), devices_(std::move(devices)), supervision_(std::make_shared<supervision>()) {}

node_metrics::~node_metrics() = default;

report_sink node_metrics::on_report() const {
  return [to = supervision_](const supervisor_report& report) { to->count(report); };
}

void node_metrics::add(std::shared_ptr<const prometheus::Collectable> counts) {
  const std::lock_guard lock{mutex_};
  others_.push_back(std::move(counts));
}

std::vector<MetricFamily> node_metrics::collect() const {
  families to;
  for (const auto& model : routes_->all())
    troupe::collect(*model, to);
  for (const auto& name : devices_->names())
    if (const auto pool = devices_->find(name))
      troupe::collect(*pool, to);
  auto all = std::move(to).take();
  const auto append = [&](std::vector<MetricFamily> more) {
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(supervision_->collect());
  const std::lock_guard lock{mutex_};
  for (const auto& other : others_)
    append(other->Collect());
  return all;
}

}  // namespace troupe
