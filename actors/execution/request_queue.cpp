#include "actors/execution/request_queue.hpp"

#include "actors/concurrency/brief_mutex.hpp"
#include "actors/concurrency/duration_text.hpp"
#include "actors/execution/anticipation.hpp"
#include "actors/execution/wait_estimate.hpp"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace troupe {
namespace {

using std::chrono::milliseconds;
namespace intrusive = boost::intrusive;

/// How far a batch looks for more that fits, in multiples of what it may hold. Bounds what a take costs.
constexpr std::size_t looked_at_a_item = 4;
constexpr std::size_t most_looked_at = 1024;

/// Clients without work that are remembered, so that one who comes and goes costs no memory each time.
constexpr std::size_t most_idle_clients = 64;

constexpr milliseconds shortest_retry{10};
constexpr milliseconds longest_retry{30'000};
constexpr milliseconds unknown_retry{1'000};

}  // namespace

class request_queue::core final : public std::enable_shared_from_this<core>, private timer {
 public:
  core(queue_options options, troupe::clock& time) : options_(options), clock_(time) {}

  const queue_options& options() const noexcept { return options_; }

  expected<void> submit(std::shared_ptr<queued_work> work) {
    refusals refused;
    wake_list woken;
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    if (auto room = make_room(*work, now, refused); !room) {
      ++counts_.refused;
      return room;
    }
    insert(std::move(work), now);
    note_answers(now);
    returning_.came(now);
    ++counts_.admitted;
    tell_worker(now, told_by::bringer, woken);
    keep_time(now);
    return {};
  }

  void put_back(std::shared_ptr<queued_work> work) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    arrivals_.push_front(*work);
    clients_[work->client].push_front(*work);
    link(std::move(work));
    tell_worker(now, told_by::other, woken);
    keep_time(now);
  }

  bool withdraw(queued_work& work) {
    std::shared_ptr<queued_work> taken;
    const std::lock_guard lock{mutex_};
    if (!work.in_order_.is_linked())
      return false;
    taken = erase(work);
    ++counts_.withdrawn;
    return true;
  }

  batch withdraw_if(const std::function<bool(const queued_work&)>& which) {
    batch taken;
    const std::lock_guard lock{mutex_};
    for (auto i = order_.begin(); i != order_.end();)
      if (auto& work = *i++; which(work))
        taken.push_back(erase(work));
    counts_.withdrawn += taken.size();
    return taken;
  }

  void take(batch& into, const std::function<bool(const queued_work&)>& head) {
    into.clear();
    refusals refused;
    wake_list woken;
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    expire(now, refused);
    drop_cancelled_head(refused);
    if (!is_ready(now) || (head && !head(*order_.begin())))
      return;
    const auto units = fill(into, refused, head ? order_.size() : fair_share());
    running_units_ += units;
    running_ += static_cast<std::int64_t>(into.size());
    learn(units, now);
    tell_worker(now, told_by::other, woken);
    keep_time(now);
  }

  std::optional<expected<told_by>> wait(pending<told_by>& who) {
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    if (is_ready(now))
      return told_by::other;
    takes_since_idle_ = 0;
    idle_.push_back(who);
    keep_time(now);
    return std::nullopt;
  }

  bool abandon(pending<told_by>& who, error why) {
    const std::lock_guard lock{mutex_};
    return idle_.withdraw(who, std::move(why));
  }

  void pass_on() {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    tell_worker(now, told_by::other, woken);
    keep_time(now);
  }

  void ran(std::int64_t units, steady_clock::duration took, std::size_t pieces) {
    const std::lock_guard lock{mutex_};
    returning_.ended(took);
    note_answers(clock_.now());
    running_units_ = std::max<std::int64_t>(0, running_units_ - units);
    running_ = std::max<std::int64_t>(0, running_ - static_cast<std::int64_t>(pieces));
    estimate_.ran(static_cast<double>(units), took, options_.workers);
  }

  void answered() noexcept { answered_.fetch_add(1, std::memory_order_relaxed); }

  void add_places(std::int64_t places) {
    const std::lock_guard lock{mutex_};
    places_ += places;
  }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    auto result = counts_;
    result.queued = order_.size();
    result.idle_workers = idle_.size();
    result.wait = estimate_.wait(static_cast<double>(units_)).value_or(steady_clock::duration{});
    return result;
  }

  /// The queue's owner lets go of it: what still waits, and with it would be left alone, is given up.
  void close() {
    clock_.disarm(*this);
    refusals refused;
    const std::lock_guard lock{mutex_};
    while (!order_.empty()) {
      auto why = make_error(status_code::unavailable, "the queue that the request waited in is gone", "try again");
      refused.add(erase(*order_.begin()), std::move(why));
    }
  }

 private:
  /// Those that the queue gives up; told once the lock is gone.
  class refusals {
   public:
    refusals() = default;
    refusals(const refusals&) = delete;
    refusals& operator=(const refusals&) = delete;
    ~refusals() {
      for (auto& [work, why] : all_)
        work->refuse(std::move(why));
    }
    void add(std::shared_ptr<queued_work> work, error why) { all_.emplace_back(std::move(work), std::move(why)); }

   private:
    std::vector<std::pair<std::shared_ptr<queued_work>, error>> all_;
  };

  struct first_due {
    bool operator()(const queued_work& a, const queued_work& b) const noexcept {
      return std::tie(a.priority, a.due_, a.number_) < std::tie(b.priority, b.due_, b.number_);
    }
  };

  using order =
      intrusive::set<queued_work, intrusive::compare<first_due>,
                     intrusive::member_hook<queued_work, intrusive::set_member_hook<>, &queued_work::in_order_>>;
  using arrivals =
      intrusive::list<queued_work,
                      intrusive::member_hook<queued_work, intrusive::list_member_hook<>, &queued_work::in_arrival_>>;
  using of_client =
      intrusive::list<queued_work,
                      intrusive::member_hook<queued_work, intrusive::list_member_hook<>, &queued_work::in_client_>>;

  // -- Admission

  expected<void> make_room(const queued_work& work, steady_clock::time_point now, refusals& refused) {
    const auto deadline = work.scope_.token().deadline();
    if (deadline <= now)
      return make_error(status_code::deadline_exceeded, "the deadline had passed when the request arrived");
    const auto wait = foretold_wait(work);
    if (deadline != no_deadline && now + wait >= deadline)
      return refuse(
          "its deadline is in " + duration_text(deadline - now) + ", and it would wait about " + duration_text(wait),
          "allow more time, or try again later");
    if (wait > options_.max_wait) {
      if (!evict_for(work, refused))
        return refuse(
            "it would wait about " + duration_text(wait) + ", longer than " + duration_text(options_.max_wait),
            "try again later, or raise queue.max_wait in model.toml");
    } else if (order_.size() >= options_.capacity && !evict_for(work, refused)) {
      return refuse("the queue is full with " + std::to_string(options_.capacity) + " requests",
                    "try again later, or raise queue.capacity in model.toml");
    }
    return {};
  }

  /// How long `work` would wait if it were admitted: for what runs, and for what is as urgent or more so; not at all
  /// for a worker who waits for work himself, or for a place.
  steady_clock::duration foretold_wait(const queued_work& work) const {
    if ((order_.empty() && !idle_.empty()) || running_ + static_cast<std::int64_t>(order_.size()) < places_)
      return {};
    // With places for several, the first of those that run to end makes room.
    std::int64_t ahead = places_ > 0 ? running_units_ / std::max<std::int64_t>(1, running_) : running_units_;
    for (const auto& [priority, units] : units_of_priority_)
      if (priority <= work.priority)
        ahead += units;
    return estimate_.wait(static_cast<double>(ahead)).value_or(steady_clock::duration{});
  }

  error refuse(std::string cause, std::string remedy) const {
    auto why = make_error(status_code::resource_exhausted, "the request was not admitted: " + std::move(cause),
                          std::move(remedy));
    // Half of what waits will have gone by then.
    const auto wait = estimate_.wait(static_cast<double>(units_) / 2);
    why.retry_after =
        wait ? std::clamp(std::chrono::ceil<milliseconds>(*wait), shortest_retry, longest_retry) : unknown_retry;
    return why;
  }

  /// Gives up the newest work of the client that has the most, if that is more than the one who comes would have.
  bool evict_for(const queued_work& work, refusals& refused) {
    auto most = clients_.end();
    for (auto i = clients_.begin(); i != clients_.end(); ++i)
      if (most == clients_.end() || i->second.size() > most->second.size())
        most = i;
    const auto own = clients_.find(work.client);
    const auto has = own == clients_.end() ? 0 : own->second.size();
    if (most == clients_.end() || most->second.size() <= has + 1)
      return false;
    auto& newest = most->second.back();
    if (newest.priority < work.priority)
      return false;
    ++counts_.refused;
    auto why = refuse("it had to make room for another client", "send fewer requests at once, or try again later");
    refused.add(erase(newest), std::move(why));
    return true;
  }

  void insert(std::shared_ptr<queued_work> work, steady_clock::time_point now) {
    work->queued_at_ = now;
    work->due_ = std::min(work->scope_.token().deadline(), now + options_.max_wait);
    work->number_ = ++last_number_;
    if (order_.empty())
      backlog_since_.reset();
    arrivals_.push_back(*work);
    clients_[work->client].push_back(*work);
    link(std::move(work));
  }

  void link(std::shared_ptr<queued_work> work) {
    order_.insert(*work);
    units_ += work->cost.units();
    items_ += work->cost.items;
    units_of_priority_[work->priority] += work->cost.units();
    auto& kept = work->self_;
    kept = std::move(work);
  }

  std::shared_ptr<queued_work> erase(queued_work& work) {
    order_.erase(order_.iterator_to(work));
    arrivals_.erase(arrivals_.iterator_to(work));
    const auto of = clients_.find(work.client);
    of->second.erase(of->second.iterator_to(work));
    if (of->second.empty() && clients_.size() > most_idle_clients)
      clients_.erase(of);
    units_ -= work.cost.units();
    items_ -= work.cost.items;
    units_of_priority_[work.priority] -= work.cost.units();
    return std::exchange(work.self_, nullptr);
  }

  // -- Batching

  /// Whether a worker has something to take.
  bool is_ready(steady_clock::time_point now) const { return !order_.empty() && now >= ready_at(); }

  steady_clock::time_point ready_at() const {
    if (items_ >= options_.batch.items || units_ >= options_.batch.units)
      return steady_clock::time_point::min();
    // Who can't wait isn't kept; nor is anybody where there is a place, and work that doesn't begin and end together.
    const auto others =
        places_ > 0 ? steady_clock::time_point::min() : std::min(returning_.until(), order_.begin()->due_);
    if (options_.max_delay == steady_clock::duration{})
      return others;
    return std::max(others, arrivals_.front().queued_at_ + options_.max_delay);
  }

  /// Moves the first in order and what fits to it into a batch, `most` in all; what it costs.
  std::int64_t fill(batch& into, refusals& refused, std::size_t most) {
    batch_shape shape;
    auto looks = std::min(most_looked_at,
                          looked_at_a_item * static_cast<std::size_t>(std::max<std::int64_t>(options_.batch.items, 1)));
    for (auto i = order_.begin(); i != order_.end() && looks > 0 && !is_full(shape) && into.size() < most; --looks) {
      auto& work = *i++;
      if (give_up_cancelled(work, refused) || !shape.fits(work.cost, options_.batch) ||
          (work.ran_before && !shape.empty()))
        continue;
      shape.add(work.cost);
      into.push_back(erase(work));
      if (into.back()->ran_before)
        break;
    }
    return shape.units();
  }

  /// How much of what waits one worker takes: with others idle who could work beside it, it leaves them theirs.
  std::size_t fair_share() const {
    const auto others = std::min(idle_.size(), std::max<std::size_t>(options_.workers, 1) - 1);
    return (order_.size() + others) / (others + 1);
  }

  bool is_full(const batch_shape& shape) const {
    return !shape.empty() && (shape.items() >= options_.batch.items || shape.units() >= options_.batch.units);
  }

  bool give_up_cancelled(queued_work& work, refusals& refused) {
    if (!work.scope_.token().cancelled())
      return false;
    ++counts_.withdrawn;
    auto why = work.scope_.token().reason();
    refused.add(erase(work), std::move(why));
    return true;
  }

  void drop_cancelled_head(refusals& refused) {
    while (!order_.empty() && give_up_cancelled(*order_.begin(), refused)) {
    }
  }

  /// Learns from how fast the queue drains while it isn't empty and every worker is at work: the first takes of those
  /// who were idle come one upon the other.
  void learn(std::int64_t units, steady_clock::time_point now) {
    const auto at_once = std::max(options_.workers, static_cast<std::size_t>(std::max<std::int64_t>(0, places_)));
    if (++takes_since_idle_ > at_once && backlog_since_)
      estimate_.drained(static_cast<double>(units), now - *backlog_since_);
    backlog_since_ = order_.empty() ? std::nullopt : std::optional{now};
  }

  void note_answers(steady_clock::time_point now) {
    if (answered_.load(std::memory_order_relaxed) != 0)
      returning_.answered(answered_.exchange(0, std::memory_order_relaxed), now);
  }

  // -- Time

  /// Gives up what has waited too long.
  void expire(steady_clock::time_point now, refusals& refused) {
    while (!arrivals_.empty() && arrivals_.front().queued_at_ + options_.max_wait <= now) {
      auto& work = arrivals_.front();
      if (give_up_cancelled(work, refused))
        continue;
      ++counts_.expired;
      auto why = refuse("it has waited for " + duration_text(options_.max_wait) + " without its turn coming",
                        "try again later, or raise queue.max_wait in model.toml");
      refused.add(erase(work), std::move(why));
    }
  }

  void tell_worker(steady_clock::time_point now, told_by how, wake_list& woken) {
    if (idle_.empty() || !is_ready(now))
      return;
    auto& worker = *(places_ > 0 ? idle_.pop_front() : idle_.pop_back());
    complete(static_cast<pending<told_by>&>(worker), expected<told_by>{how}, woken);
  }

  /// Has the clock call when something is due next. A call that comes too early looks again, so that a timer is set
  /// once for many a piece of work.
  void keep_time(steady_clock::time_point now) {
    if (order_.empty())
      return;
    auto next = arrivals_.front().queued_at_ + options_.max_wait;
    if (!idle_.empty() && !is_ready(now))
      next = std::min(next, ready_at());
    if (armed_for_ <= next)
      return;
    armed_for_ = next;
    clock_.arm(*this, next);
  }

  void fire() noexcept override {
    const auto self = shared_from_this();
    refusals refused;
    wake_list woken;
    const std::lock_guard lock{mutex_};
    const auto now = clock_.now();
    armed_for_ = no_deadline;
    expire(now, refused);
    tell_worker(now, told_by::other, woken);
    keep_time(now);
  }

  const queue_options options_;
  troupe::clock& clock_;
  mutable brief_mutex mutex_;
  order order_;
  arrivals arrivals_;
  std::unordered_map<std::uint64_t, of_client> clients_;
  std::unordered_map<std::uint32_t, std::int64_t> units_of_priority_;
  std::int64_t units_ = 0;
  std::int64_t items_ = 0;
  std::int64_t running_units_ = 0;  // that were taken, and have not run yet
  std::int64_t running_ = 0;        // the pieces of work that these are of
  std::int64_t places_ = 0;
  std::uint64_t last_number_ = 0;
  std::optional<steady_clock::time_point> backlog_since_;  // the last take that left something
  std::uint64_t takes_since_idle_ = 0;
  steady_clock::time_point armed_for_ = no_deadline;
  wait_estimate estimate_;
  anticipation returning_;
  std::atomic<std::size_t> answered_ = 0;  // that `returning_` doesn't know of
  wait_queue idle_;
  statistics counts_ = {};
};

request_queue::request_queue(queue_options options, troupe::clock& time)
    : core_(std::make_shared<core>(options, time)) {}

request_queue::~request_queue() {
  core_->close();
}

const queue_options& request_queue::options() const noexcept {
  return core_->options();
}

expected<void> request_queue::submit(std::shared_ptr<queued_work> work) {
  return core_->submit(std::move(work));
}

void request_queue::put_back(std::shared_ptr<queued_work> work) {
  core_->put_back(std::move(work));
}

bool request_queue::withdraw(queued_work& work) {
  return core_->withdraw(work);
}

request_queue::batch request_queue::withdraw_if(const std::function<bool(const queued_work&)>& which) {
  return core_->withdraw_if(which);
}

void request_queue::take(batch& into, const std::function<bool(const queued_work&)>& head) {
  core_->take(into, head);
}

request_queue::ready_operation request_queue::ready() {
  return ready_operation{core_};
}

void request_queue::pass_on() {
  core_->pass_on();
}

void request_queue::ran(std::int64_t units, steady_clock::duration took, std::size_t pieces) {
  core_->ran(units, took, pieces);
}

void request_queue::answered() noexcept {
  core_->answered();
}

void request_queue::add_places(std::int64_t places) {
  core_->add_places(places);
}

request_queue::statistics request_queue::stats() const {
  return core_->stats();
}

std::optional<expected<request_queue::told_by>> request_queue::ready_operation::begin(pending<told_by>& who) {
  return core_->wait(who);
}

bool request_queue::ready_operation::abandon(pending<told_by>& who, error why) {
  return core_->abandon(who, std::move(why));
}

}  // namespace troupe
