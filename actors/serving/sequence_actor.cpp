#include "actors/serving/sequence_actor.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/concurrency/semaphore.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/sequence_table.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/supervision/supervisor.hpp"

#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <utility>

namespace troupe {

/// A request on its way to its sequence, of which there are only so many. Nobody takes it out where the owner has ended
/// meanwhile: then it is answered.
class arriving_call {
 public:
  arriving_call(std::shared_ptr<inference_call> call, semaphore::permit place)
      : call_(std::move(call)), place_(std::move(place)) {}
  ~arriving_call() {
    if (call_)
      call_->refuse(
          make_error(status_code::unavailable, "the sequences of the model are gone", "start the sequence again"));
  }
  arriving_call(const arriving_call&) = delete;
  arriving_call& operator=(const arriving_call&) = delete;

  std::shared_ptr<inference_call> take() {
    place_.release();
    return std::exchange(call_, nullptr);
  }

 private:
  std::shared_ptr<inference_call> call_;
  semaphore::permit place_;
};

// What the owner is told.
struct call_arrived {
  std::shared_ptr<arriving_call> call;
};
struct turn_ended {
  sequence_id id;
};
struct calls_cancelled {
  std::optional<sequence_id> of;
};
struct sequences_ended {
  error why;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::call_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::turn_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::calls_cancelled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::sequences_ended)

namespace troupe {
namespace {

using expire_atom = caf::atom_constant<caf::atom("expire")>;

/// Sends to the owner, unless that is gone.
template <class What>
void tell(const caf::actor_addr& owner, What what) {
  if (const auto actor = caf::actor_cast<caf::actor>(owner))
    caf::anon_send(actor, std::move(what));
}

/// The way to the actor. It does not keep it: a model may be known for longer than its sequences have an owner. An
/// actor's mailbox has no bound, so that the way has one: as many requests as may wait.
class sequence_address final : public sequence_owner {
 public:
  sequence_address(caf::actor_addr owner, std::size_t capacity)
      : owner_(std::move(owner)), places_(*semaphore::make(static_cast<std::int64_t>(capacity))) {}

  expected<void> submit(std::shared_ptr<inference_call> call) override {
    auto place = places_.try_acquire();
    if (!place)
      return too_many_arrive();
    tell(owner_, call_arrived{std::make_shared<arriving_call>(std::move(call), *std::move(place))});
    return {};
  }
  void withdraw_cancelled(std::optional<sequence_id> id) override { tell(owner_, calls_cancelled{std::move(id)}); }
  void end_all(error why) override { tell(owner_, sequences_ended{std::move(why)}); }

 private:
  static error too_many_arrive() {
    auto why = make_error(status_code::resource_exhausted,
                          "the request was not admitted: more arrive than their sequences' owner can take",
                          "try again later, or raise queue.capacity in model.toml");
    why.retry_after = std::chrono::milliseconds{10};
    return why;
  }

  const caf::actor_addr owner_;
  const semaphore places_;
};

/// Tells the actor, unless it is gone, that a sequence may have been idle for too long.
class expiry_timer final : public timer {
 public:
  expiry_timer(troupe::clock& time, caf::actor_addr whom) : clock_(time), whom_(std::move(whom)) {}
  ~expiry_timer() override { clock_.disarm(*this); }

  /// Sees to it that it fires at `when` or before.
  void arm(steady_clock::time_point when) {
    if (armed_for_ <= when)
      return;
    armed_for_ = when;
    clock_.arm(*this, when);
  }
  void fired() { armed_for_ = no_deadline; }

  void fire() noexcept override { tell(whom_, expire_atom::value); }

 private:
  troupe::clock& clock_;
  const caf::actor_addr whom_;
  steady_clock::time_point armed_for_ = no_deadline;  // the actor's
};

struct sequence_actor_state {
  static constexpr const char* name = "sequences";

  std::shared_ptr<served_model> model;
  std::unique_ptr<sequence_table> table;
  std::unique_ptr<expiry_timer> expiry;

  ~sequence_actor_state() {
    if (!table)
      return;
    const auto& counts = model->of_sequences();
    log_event(spdlog::level::info, "sequences stopped",
              {{"model", model->name()},
               {"live", counts.live.load()},
               {"started", counts.started.load()},
               {"expired", counts.expired.load()}});
  }
};

caf::behavior sequence_actor(caf::stateful_actor<sequence_actor_state>* self, std::shared_ptr<served_model> model,
                             troupe::clock* time) {
  const caf::actor_addr me = self->address();
  auto& state = self->state;
  state.model = model;
  state.table =
      std::make_unique<sequence_table>(model, *time, [me](const sequence_id& id) { tell(me, turn_ended{id}); });
  state.expiry = std::make_unique<expiry_timer>(*time, me);
  const auto watch = [self] { self->state.expiry->arm(self->state.table->next_expiry()); };
  return {
      [self, weak = std::weak_ptr{model}](start_atom) {
        if (const auto of = weak.lock())
          of->set_sequences(std::make_shared<sequence_address>(self->address(), of->calls().options().capacity));
      },
      [self, watch](const call_arrived& arrived) {
        self->state.table->add(arrived.call->take());
        watch();
      },
      [self, watch](const turn_ended& turn) {
        self->state.table->ended(turn.id);
        watch();
      },
      [self, watch](const calls_cancelled& cancelled) {
        self->state.table->withdraw_cancelled(cancelled.of);
        watch();
      },
      [self](const sequences_ended& ended) { self->state.table->end_all(ended.why); },
      [self, watch](expire_atom) {
        self->state.expiry->fired();
        self->state.table->expire();
        watch();
      },
  };
}

}  // namespace

caf::actor spawn_sequences(caf::actor_system& system, std::shared_ptr<served_model> model, troupe::clock& time) {
  return system.spawn(sequence_actor, std::move(model), &time);
}

}  // namespace troupe
