// Our stream between actors, which wait with `await`: what is compared with a channel that is an actor itself.

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/stream.hpp"
#include "bench/kernel/actors.hpp"
#include "bench/kernel/stopwatch.hpp"
#include "bench/kernel/traffic.hpp"

#include <caf/stateful_actor.hpp>

#include <memory>
#include <optional>

namespace troupe::bench {

namespace {

using half_in = send_half<std::uint64_t>;
using half_out = receive_half<std::uint64_t>;

struct producer_state {
  std::optional<half_in> sender;
  share rest;
  cancel_token token;
};

void send_next(caf::stateful_actor<producer_state>* self) {
  auto& state = self->state;
  if (state.rest.first == state.rest.end)
    return state.sender.reset();
  await(self, state.sender->send(state.rest.first++), state.token, [self](expected<void> sent) {
    if (sent)
      send_next(self);
  });
}

struct consumer_state {
  std::optional<half_out> receiver;
  cancel_token token;
  arrivals* all;
  tally received;
};

void receive_next(caf::stateful_actor<consumer_state>* self) {
  auto& state = self->state;
  await(self, state.receiver->receive(), state.token, [self](expected<std::uint64_t> item) {
    if (!item)
      return self->state.all->add(self->state.received);
    self->state.received.add(*item);
    receive_next(self);
  });
}

void receive_next_batch(caf::stateful_actor<consumer_state>* self, unsigned batch) {
  auto& state = self->state;
  await(self, state.receiver->receive_up_to(batch), state.token,
        [self, batch](expected<std::vector<std::uint64_t>> items) {
          if (!items)
            return self->state.all->add(self->state.received);
          for (const auto item : *items)
            self->state.received.add(item);
          receive_next_batch(self, batch);
        });
}

}  // namespace

figures stream_actors(const case_options& options) {
  auto [sender, receiver] = *make_stream<std::uint64_t>(queue_capacity);
  const cancel_scope scope;
  arrivals all;
  actor_world world;
  const stopwatch watch;
  for (unsigned i = 0; i != options.consumers; ++i)
    world.system.spawn(
        [&, half = std::make_shared<half_out>(*receiver.clone())](caf::stateful_actor<consumer_state>* self) {
          self->state = {std::move(*half), scope.token(), &all, {}};
          options.batch == 1 ? receive_next(self) : receive_next_batch(self, options.batch);
        });
  for (unsigned i = 0; i != options.producers; ++i)
    world.system.spawn(
        [&, i, half = std::make_shared<half_in>(*sender.clone())](caf::stateful_actor<producer_state>* self) {
          self->state = {std::move(*half), share_of(options, i), scope.token()};
          send_next(self);
        });
  sender.close();
  world.join();
  auto result = watch.stop(options.items);
  all.check(options);
  return result;
}

}  // namespace troupe::bench
