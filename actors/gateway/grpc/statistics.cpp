#include "actors/gateway/grpc/statistics.hpp"

#include "actors/serving/served_model.hpp"
#include "inference/grpc_service.pb.h"

namespace troupe {
namespace {

void write(const duration_total& total, inference::StatisticDuration& to) {
  to.set_count(total.count);
  to.set_ns(total.ns);
}

}  // namespace

void describe_statistics(served_model& model, inference::ModelStatistics& to) {
  to.set_name(model.name());
  to.set_version(model.version());
  const auto done = model.counts().read();
  to.set_last_inference(done.last_inference_ms);
  to.set_inference_count(done.inferences);
  to.set_execution_count(done.executions);
  auto fail = done.fail;
  fail.count += done.cancel.count;
  fail.ns += done.cancel.ns;
  if (model.describe()) {
    const auto queue = model.calls().stats();
    fail.count += queue.refused + queue.expired + queue.withdrawn;
  }
  auto& stats = *to.mutable_inference_stats();
  write(done.success, *stats.mutable_success());
  write(fail, *stats.mutable_fail());
  write(done.queue, *stats.mutable_queue());
  write(done.input, *stats.mutable_compute_input());
  write(done.infer, *stats.mutable_compute_infer());
  write(done.output, *stats.mutable_compute_output());
  for (const auto& [items, infer] : done.batches) {
    auto& batch = *to.add_batch_stats();
    batch.set_batch_size(static_cast<std::uint64_t>(items));
    write(infer, *batch.mutable_compute_infer());
  }
}

}  // namespace troupe
