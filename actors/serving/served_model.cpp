#include "actors/serving/served_model.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/serving/inference_call.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// What the model's folder says comes before what its skillset does.
queue_options options_of(const model_folder& folder, const batch_policy& how) {
  queue_options options;
  options.capacity = folder.queue.capacity;
  options.max_wait = folder.queue.max_wait;
  options.max_delay = folder.batching.max_delay;
  options.batch = how.limits;
  options.batch.items = folder.batching.max_batch.value_or(options.batch.items);
  options.batch.units = folder.batching.max_units.value_or(options.batch.units);
  options.workers = static_cast<std::size_t>(folder.instances);
  return options;
}

/// What the model still has, where instances are stuck, the longest of them since then.
std::string capacity_left(std::int64_t instances, std::size_t stuck, steady_clock::time_point since) {
  const auto ago = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() - since).count();
  return std::to_string(stuck) + " of " + std::to_string(instances) +
         (stuck == 1 ? " instances is" : " instances are") + " stuck in work that was cancelled " +
         (stuck == 1 ? "" : "up to ") + std::to_string(ago) + " s ago";
}

double milliseconds_since(steady_clock::time_point then) {
  return std::chrono::duration<double, std::milli>{steady_clock::now() - then}.count();
}

}  // namespace

struct served_model::description {
  signature what;
  batch_policy how;
  request_queue calls;
  instance_metrics metrics;
};

std::string_view to_string(model_state state) noexcept {
  switch (state) {
    case model_state::loading:
      return "LOADING";
    case model_state::ready:
      return "READY";
    case model_state::unloading:
      return "UNLOADING";
    case model_state::unloaded:
    case model_state::unavailable:
      break;
  }
  return "UNAVAILABLE";
}

served_model::served_model(model_folder folder, std::function<void()> on_change)
    : folder_(std::move(folder)), on_change_(std::move(on_change)) {}

served_model::~served_model() = default;

served_model::status served_model::current() const {
  const std::lock_guard lock{mutex_};
  if (state_ != model_state::ready || stuck_since_.empty())
    return {state_, reason_};
  return {state_, capacity_left(folder_.instances, stuck_since_.size(), *stuck_since_.begin())};
}

served_model::stuck_instances served_model::stuck() const {
  const std::lock_guard lock{mutex_};
  return {stuck_since_.size(), stuck_ever_};
}

const signature* served_model::describe() const noexcept {
  const auto* known = description_.load(std::memory_order_acquire);
  return known ? &known->what : nullptr;
}

const batch_policy& served_model::batching() const noexcept {
  return description_.load(std::memory_order_acquire)->how;
}

request_queue& served_model::calls() const noexcept {
  return description_.load(std::memory_order_acquire)->calls;
}

instance_metrics& served_model::metrics() const noexcept {
  return description_.load(std::memory_order_acquire)->metrics;
}

error served_model::why_not_ready() const {
  const auto [state, reason] = current();
  return make_error(
      status_code::unavailable,
      "model '" + name() + "' is " + std::string{to_string(state)} + (reason.empty() ? "" : ": " + reason),
      "ask ModelReady until it is ready");
}

expected<served_model::visit> served_model::enter() {
  if (!describe() || !visits_.enter())
    return why_not_ready();
  return visit{shared_from_this()};
}

/// A model that is being unloaded owes answers to those who were let in.
bool served_model::takes_calls() const noexcept {
  const auto state = state_.load(std::memory_order_acquire);
  return state == model_state::ready || state == model_state::unloading;
}

expected<void> served_model::submit(std::shared_ptr<inference_call> call) {
  return call->input.sequence ? submit_to_sequence(std::move(call)) : enqueue(std::move(call));
}

expected<void> served_model::submit_to_sequence(std::shared_ptr<inference_call> call) {
  if (!takes_calls())
    return why_not_ready();
  const auto owner = sequences();
  if (!owner)
    return make_error(status_code::unavailable, "nobody has the sequences of model '" + name() + "'", "try again");
  call->step = std::make_shared<sequence_step>();
  call->step->admitted = steady_clock::now();
  auto taken = owner->submit(std::move(call));
  if (!taken)
    ++of_sequences_.refused;
  return taken;
}

expected<void> served_model::enqueue(std::shared_ptr<inference_call> call) {
  if (!takes_calls())
    return why_not_ready();
  if (auto admitted = calls().submit(call); !admitted) {
    admitted.error().cause = "model '" + name() + "': " + admitted.error().cause;
    return admitted;
  }
  log_event(spdlog::level::trace, "admitted", {{"model", name()}});
  // The model may have become unavailable, and its queue been emptied, between the question and the submission.
  if (!takes_calls() && calls().withdraw(*call))
    return make_error(status_code::unavailable, "model '" + name() + "' is being stopped");
  return {};
}

bool served_model::withdraw(inference_call& call) {
  if (!describe())
    return false;
  if (calls().withdraw(call)) {
    if (const auto token = call.token(); token.cancelled())
      count_cancelled(token.reason(), cancel_stage::queued);
    return true;
  }
  if (call.input.sequence)
    if (const auto owner = sequences())
      owner->withdraw_cancelled(call.input.sequence->id);
  return false;
}

void served_model::withdraw_cancelled() {
  if (!describe())
    return;
  for (const auto& work : calls().withdraw_if([](const auto& queued) { return queued.token().cancelled(); })) {
    const auto why = work->token().reason();
    count_cancelled(why, cancel_stage::queued);
    work->refuse(why);
  }
  if (const auto owner = sequences())
    owner->withdraw_cancelled(std::nullopt);
}

void served_model::instance_stuck(steady_clock::time_point since) {
  std::size_t stuck = 0;
  {
    const std::lock_guard lock{mutex_};
    stuck_since_.insert(since);
    stuck = stuck_since_.size();
    ++stuck_ever_;
  }
  log_event(spdlog::level::warn, "instance stuck in work that was cancelled",
            {{"model", name()}, {"stuck", stuck}, {"instances", folder_.instances}, {"ms", milliseconds_since(since)}});
}

void served_model::instance_free(steady_clock::time_point since) {
  {
    const std::lock_guard lock{mutex_};
    stuck_since_.erase(stuck_since_.find(since));
  }
  log_event(spdlog::level::info, "instance is back", {{"model", name()}, {"ms", milliseconds_since(since)}});
}

void served_model::count_cancelled(const error& why, cancel_stage stage) noexcept {
  const auto state = state_.load(std::memory_order_acquire);
  const bool unloads = state == model_state::unloading || state == model_state::unloaded;
  counts_.request_cancelled(why.code == status_code::cancelled           ? cancel_cause::client
                            : why.code == status_code::deadline_exceeded ? cancel_cause::deadline
                            : unloads                                    ? cancel_cause::unload
                                                                         : cancel_cause::stop,
                            stage);
}

void served_model::set_described(signature what, batch_policy how, std::size_t most_at_once,
                                 std::vector<metric_spec> metrics) {
  auto options = options_of(folder_, how);
  options.workers = std::min(options.workers, most_at_once);
  owned_description_.reset(
      new description{std::move(what), std::move(how), request_queue{options}, instance_metrics{std::move(metrics)}});
  description_.store(owned_description_.get(), std::memory_order_release);
}

void served_model::set_sequences(std::shared_ptr<sequence_owner> owner) {
  const std::lock_guard lock{mutex_};
  sequences_ = std::move(owner);
}

std::shared_ptr<sequence_owner> served_model::sequences() const {
  const std::lock_guard lock{mutex_};
  return sequences_;
}

void served_model::set_ready() {
  change(model_state::ready, {});
}

void served_model::set_loading() {
  change(model_state::loading, {});
}

void served_model::set_unavailable(const error& reason) {
  change(model_state::unavailable, reason.message());
  refuse_queued(make_error(status_code::unavailable, "model '" + name() + "' is UNAVAILABLE: " + reason.message()));
}

void served_model::set_unloading() {
  change(model_state::unloading, "it is being unloaded");
  visits_.close();
}

void served_model::set_unloaded() {
  change(model_state::unloaded, "unloaded");
  visits_.close();
  refuse_queued(make_error(status_code::unavailable, "model '" + name() + "' was unloaded", "load it again"));
}

void served_model::refuse_queued(const error& why) {
  if (!describe())
    return;
  // Before those that have their turn give it to the next ones.
  if (const auto owner = sequences())
    owner->end_all(why);
  for (const auto& work : calls().withdraw_if([](const auto&) { return true; })) {
    count_cancelled(why, cancel_stage::queued);
    work->refuse(why);
  }
}

void served_model::change(model_state state, std::string reason) {
  {
    const std::lock_guard lock{mutex_};
    reason_ = std::move(reason);
    state_.store(state, std::memory_order_release);
  }
  on_change_();
}

}  // namespace troupe
