#include "actors/serving/sequence_table.hpp"

#include "actors/concurrency/duration_text.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds shortest_retry{10};
constexpr milliseconds longest_retry{30'000};
constexpr milliseconds unknown_retry{1'000};

std::string shown(const sequence_id& id) {
  const auto* number = std::get_if<std::uint64_t>(&id);
  return number ? std::to_string(*number) : std::get<std::string>(id);
}

error exhausted(std::string cause, std::string remedy, steady_clock::duration wait) {
  auto why = make_error(status_code::resource_exhausted, "the request was not admitted: " + std::move(cause),
                        std::move(remedy));
  why.retry_after = wait == steady_clock::duration{}
                        ? unknown_retry
                        : std::clamp(std::chrono::ceil<milliseconds>(wait), shortest_retry, longest_retry);
  return why;
}

/// Lives as long as anybody works on a request that has its turn: its queue, and then the batch it runs in, hold the
/// request by this.
struct turn_holder {
  std::shared_ptr<inference_call> call;
  const std::function<void(const sequence_id&)> on_end;

  turn_holder(std::shared_ptr<inference_call> of, std::function<void(const sequence_id&)> tell)
      : call(std::move(of)), on_end(std::move(tell)) {}
  ~turn_holder() { on_end(call->input.sequence->id); }
  turn_holder(const turn_holder&) = delete;
  turn_holder& operator=(const turn_holder&) = delete;
};

}  // namespace

sequence_table::sequence_table(std::shared_ptr<served_model> model, troupe::clock& time,
                               std::function<void(const sequence_id&)> on_end)
    : model_(std::move(model)),
      settings_(model_->folder().sequences),
      counts_(model_->of_sequences()),
      clock_(time),
      on_end_(std::move(on_end)) {}

sequence_table::~sequence_table() {
  end_all(make_error(status_code::unavailable, "the sequences of model '" + model_->name() + "' are gone",
                     "start the sequence again"));
  counts_.live -= sequences_.size();
}

void sequence_table::add(std::shared_ptr<inference_call> call) {
  expire();
  const auto& part = *call->input.sequence;
  auto found = sequences_.find(part.id);
  if (found == sequences_.end()) {
    if (const auto why = why_no_new(*call))
      return refuse(*call, *why);
    found = sequences_.try_emplace(part.id).first;
    ++counts_.started;
    ++counts_.live;
  }
  auto& of = found->second;
  touch(of);
  of.arrived += part.start ? 1 : 0;
  if (call->token().cancelled()) {
    give_up(*call, call->token().reason());
  } else if (of.current.call ? !has_room() : waiting_ > 0 && !has_room()) {
    refuse(*call, no_room());
  } else if (of.current.call) {
    log_event(spdlog::level::trace, "waits for its sequence",
              {{"model", model_->name()}, {"sequence", shown(part.id)}});
    of.waiting.push_back({std::move(call), of.arrived});
    ++waiting_;
  } else {
    begin(of, {std::move(call), of.arrived});
  }
  settle(found);
}

void sequence_table::ended(const sequence_id& id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end())
    return;
  auto& of = found->second;
  const auto [call, start] = std::exchange(of.current, {});
  const auto& part = *call->input.sequence;
  ending_ -= part.end ? 1 : 0;
  if (auto& step = *call->step; step.committed) {
    of.live = part.end ? 0 : start;
    if (step.after && !part.end)
      of.state = std::make_shared<const std::any>(*std::move(step.after));
    else if (part.start || part.end)
      of.state = nullptr;
  }
  advance(of);
  settle(found);
}

void sequence_table::withdraw_cancelled(const std::optional<sequence_id>& id) {
  if (id) {
    if (const auto found = sequences_.find(*id); found != sequences_.end()) {
      drop_cancelled(found->second);
      settle(found);
    }
    return;
  }
  for (auto& [key, of] : sequences_)
    drop_cancelled(of);
}

void sequence_table::end_all(const error& why) {
  waiting_ = 0;
  for (auto i = sequences_.begin(); i != sequences_.end();) {
    auto& of = i->second;
    for (const auto& next : std::exchange(of.waiting, {}))
      give_up(*next.call, why);
    // What was begun, and what still runs, belongs to no start that counts.
    ++of.arrived;
    touch(of);
    i = of.current.call ? std::next(i) : erase(i);
  }
}

void sequence_table::expire() {
  const auto now = clock_.now();
  while (!idle_.empty()) {
    const auto found = sequences_.find(*idle_.front());
    if (found->second.idle_since + settings_.max_idle > now)
      return;
    log_event(spdlog::level::debug, "sequence expired", {{"model", model_->name()}, {"sequence", shown(found->first)}});
    touch(found->second);
    erase(found);
    ++counts_.expired;
  }
}

steady_clock::time_point sequence_table::next_expiry() const {
  return idle_.empty() ? no_deadline : sequences_.at(*idle_.front()).idle_since + settings_.max_idle;
}

sequence_table::statistics sequence_table::stats() const {
  return {sequences_.size(), waiting_};
}

/// Why a request can't begin a sequence that is not there.
std::optional<error> sequence_table::why_no_new(const inference_call& call) const {
  const auto& part = *call.input.sequence;
  if (call.token().cancelled())
    return call.token().reason();
  if (!part.start)
    return not_started(part.id);
  if (sequences_.size() - ending_ < settings_.capacity)
    return std::nullopt;
  return exhausted("the model has " + std::to_string(settings_.capacity) + " sequences",
                   "end sequences, try again later, or raise sequences.capacity in model.toml",
                   idle_.empty() ? steady_clock::duration{} : next_expiry() - clock_.now());
}

/// Whether one more request may wait, here or in the queue.
bool sequence_table::has_room() const {
  return waiting_ + model_->calls().stats().queued < model_->calls().options().capacity;
}

error sequence_table::no_room() const {
  const auto capacity = model_->calls().options().capacity;
  return exhausted("the queue is full with " + std::to_string(capacity) + " requests",
                   "try again later, or raise queue.capacity in model.toml", model_->calls().stats().wait / 2);
}

error sequence_table::not_started(const sequence_id& id) const {
  return make_error(status_code::invalid_argument,
                    "inference request for sequence " + shown(id) + " to model '" + model_->name() +
                        "' must specify the START flag on the first request of the sequence",
                    "start it again: it has ended, or its start was not answered, or it had no request for " +
                        duration_text(settings_.max_idle));
}

/// It is a request's turn: it goes into the queue, or is answered with why not.
void sequence_table::begin(sequence& of, turn next) {
  const auto call = next.call;
  const auto& part = *call->input.sequence;
  if (call->token().cancelled())
    return give_up(*call, call->token().reason());
  if (!part.start && next.start != of.live)
    return call->refuse(not_started(part.id));
  call->step->before = part.start ? nullptr : of.state;
  of.current = std::move(next);
  ending_ += part.end ? 1 : 0;
  const auto holder = std::make_shared<turn_holder>(call, on_end_);
  // From here on `ended` follows, whatever becomes of it.
  if (const auto queued = model_->enqueue({holder, call.get()}); !queued)
    call->refuse(queued.error());
}

/// Lets the next one begin that can.
void sequence_table::advance(sequence& of) {
  while (!of.current.call && !of.waiting.empty()) {
    auto next = std::move(of.waiting.front());
    of.waiting.pop_front();
    --waiting_;
    begin(of, std::move(next));
  }
}

void sequence_table::drop_cancelled(sequence& of) {
  if (const auto& call = of.current.call; call && call->token().cancelled() && model_->calls().withdraw(*call))
    give_up(*call, call->token().reason());
  const auto cancelled = std::stable_partition(of.waiting.begin(), of.waiting.end(),
                                               [](const turn& one) { return !one.call->token().cancelled(); });
  const std::vector<turn> dropped(std::move_iterator{cancelled}, std::move_iterator{of.waiting.end()});
  of.waiting.erase(cancelled, of.waiting.end());
  waiting_ -= dropped.size();
  for (const auto& one : dropped)
    give_up(*one.call, one.call->token().reason());
}

/// Answers a request that can't be let in.
void sequence_table::refuse(inference_call& call, const error& why) {
  counts_.refused += why.code == status_code::resource_exhausted ? 1 : 0;
  call.refuse(why);
}

/// Answers a request that was stopped before it ran.
void sequence_table::give_up(inference_call& call, const error& why) {
  model_->count_cancelled(why, cancel_stage::queued);
  call.refuse(why);
}

/// It is idle no more.
void sequence_table::touch(sequence& of) {
  if (of.idle)
    idle_.erase(*std::exchange(of.idle, std::nullopt));
}

/// Notes that a sequence with nothing to do is idle from now on, or over.
void sequence_table::settle(map::iterator at) {
  auto& of = at->second;
  if (of.current.call || of.idle)
    return;
  if (of.live == 0 || of.live != of.arrived) {
    erase(at);
    return;
  }
  of.idle_since = clock_.now();
  of.idle = idle_.insert(idle_.end(), &at->first);
}

sequence_table::map::iterator sequence_table::erase(map::iterator of) {
  --counts_.live;
  return sequences_.erase(of);
}

}  // namespace troupe
