// The peer of our stream between actors: a bounded queue written by hand as an actor, whose senders wait for room and
// whose receivers wait for items by response promises. It knows no cancellation of a wait.

#include "bench/kernel/actors.hpp"
#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/sec.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::bench {

namespace {

using put_atom = caf::atom_constant<caf::atom("put")>;
using take_atom = caf::atom_constant<caf::atom("take")>;
using close_atom = caf::atom_constant<caf::atom("close")>;
using items_type = std::vector<std::uint64_t>;

/// The channel. Takes (put, item), (take, at most), which is answered with what is there, one item as itself, and
/// (close) from each producer.
class channel {
 public:
  channel(caf::event_based_actor* self, unsigned producers, unsigned consumers)
      : self_(self), open_(producers), unanswered_(consumers) {}

  caf::response_promise put(std::uint64_t item) {
    auto promise = self_->make_response_promise();
    if (items_.size() == queue_capacity) {
      senders_.push_back({promise, item});
    } else {
      items_.push_back(item);
      promise.deliver(caf::unit);
      serve_receiver();
    }
    return promise;
  }

  caf::response_promise take(std::uint64_t most) {
    auto promise = self_->make_response_promise();
    if (items_.empty() && open_ == 0)
      end(promise);
    else
      receivers_.push_back({promise, most});
    serve_receiver();
    return promise;
  }

  void close() {
    if (--open_ > 0)
      return;
    for (auto& each : std::exchange(receivers_, {}))
      end(each.promise);
  }

 private:
  struct sender {
    caf::response_promise promise;
    std::uint64_t item;
  };
  struct receiver {
    caf::response_promise promise;
    std::uint64_t most;
  };

  void serve_receiver() {
    if (items_.empty() || receivers_.empty())
      return;
    auto first = std::move(receivers_.front());
    receivers_.pop_front();
    answer(first);
    for (; !senders_.empty() && items_.size() < queue_capacity; senders_.pop_front()) {
      items_.push_back(senders_.front().item);
      senders_.front().promise.deliver(caf::unit);
    }
  }

  void answer(receiver& to) {
    if (to.most == 1) {
      to.promise.deliver(items_.front());
      items_.pop_front();
      return;
    }
    const auto n = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(to.most, items_.size()));
    to.promise.deliver(items_type(items_.begin(), items_.begin() + n));
    items_.erase(items_.begin(), items_.begin() + n);
  }

  void end(caf::response_promise& promise) {
    promise.deliver(caf::make_error(caf::sec::end_of_stream));
    if (--unanswered_ == 0)
      self_->quit();
  }

  caf::event_based_actor* self_;
  unsigned open_;
  unsigned unanswered_;  // consumers that were not told yet that nothing comes any more
  std::deque<std::uint64_t> items_;
  std::deque<sender> senders_;
  std::deque<receiver> receivers_;
};

caf::behavior channel_actor(caf::event_based_actor* self, const case_options& options) {
  const auto state = std::make_shared<channel>(self, options.producers, options.consumers);
  return {
      [state](put_atom, std::uint64_t item) { return state->put(item); },
      [state](take_atom, std::uint64_t most) { return state->take(most); },
      [state](close_atom) { state->close(); },
  };
}

void send_next(caf::event_based_actor* self, const caf::actor& to, share rest) {
  if (rest.first == rest.end)
    return self->send(to, close_atom::value);
  self->request(to, caf::infinite, put_atom::value, rest.first).then([=] {
    send_next(self, to, {rest.first + 1, rest.end});
  });
}

/// A consumer. `most`: 1, or as many items as it takes at a time.
template <class Answer>
void receive_next(caf::event_based_actor* self, const caf::actor& from, std::uint64_t most, arrivals& all,
                  const std::shared_ptr<tally>& received) {
  self->request(from, caf::infinite, take_atom::value, most)
      .then(
          [=, &all](const Answer& answer) {
            if constexpr (std::is_same_v<Answer, items_type>)
              for (const auto item : answer)
                received->add(item);
            else
              received->add(answer);
            receive_next<Answer>(self, from, most, all, received);
          },
          [=, &all](const caf::error&) { all.add(*received); });
}

}  // namespace

figures caf_channel(const case_options& options) {
  arrivals all;
  actor_world world;
  const stopwatch watch;
  const auto between = world.system.spawn(channel_actor, options);
  for (unsigned i = 0; i != options.consumers; ++i)
    world.system.spawn([&](caf::event_based_actor* self) {
      const auto next = options.batch == 1 ? receive_next<std::uint64_t> : receive_next<items_type>;
      next(self, between, options.batch, all, std::make_shared<tally>());
    });
  for (unsigned i = 0; i != options.producers; ++i)
    world.system.spawn([&, i](caf::event_based_actor* self) { send_next(self, between, share_of(options, i)); });
  world.join();
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
