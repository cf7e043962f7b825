#pragma once

#include "actors/concurrency/async_wait.hpp"

#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/make_message.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::detail {

/// A result on its way to the actor that waits for it. Dropped with the message when the actor is gone.
struct resumption {
  std::shared_ptr<void> wait;
};

}  // namespace troupe::detail

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::detail::resumption)

namespace troupe {

namespace detail {

/// A wait whose result goes to an actor, as the response to a request that the actor sent nobody. Owns itself while it
/// waits, and belongs to the message afterwards. As a request does, it keeps the actor from being collected meanwhile.
template <class Operation>
class actor_wait final : public async_wait<Operation> {
 public:
  actor_wait(Operation&& operation, cancel_token token, caf::strong_actor_ptr who, caf::message_id response)
      : async_wait<Operation>(std::move(operation), std::move(token)), owner_(std::move(who)), response_(response) {}

  static void start(const std::shared_ptr<actor_wait>& self) {
    self->self_ = self;
    self->async_wait<Operation>::start();
  }

  /// The actor has ended.
  void leave() {
    if (!this->forget())
      return;
    owner_.reset();
    self_.reset();
  }

 private:
  void resume() noexcept override {
    auto message = caf::make_message(resumption{std::move(self_)});
    // The message may be the last to hold this, and the actor be gone before it is there.
    const auto to = std::move(owner_);
    to->enqueue(nullptr, response_, std::move(message), nullptr);
  }

  caf::strong_actor_ptr owner_;
  const caf::message_id response_;
  std::shared_ptr<actor_wait> self_;
};

/// Lies with the actor for as long as it waits: an actor that ends takes its wait out of the queue.
template <class Operation>
class wait_guard {
 public:
  explicit wait_guard(std::weak_ptr<actor_wait<Operation>> wait) : wait_(std::move(wait)) {}
  wait_guard(wait_guard&&) noexcept = default;
  ~wait_guard() {
    if (const auto wait = wait_.lock())
      wait->leave();
  }

 private:
  std::weak_ptr<actor_wait<Operation>> wait_;
};

}  // namespace detail

/// Has an actor wait for an operation such as `stream.receiver.receive()` without holding its thread: `then` is called
/// with the `expected<T>` as a handler of the actor, in its own context, unless the actor has ended; then nothing is
/// taken, and nothing lost. Where `then` has a second parameter that is the operation: a refused item is still in
/// there. To be called from the actor itself.
template <class Operation, class Then>
void await(caf::event_based_actor* self, Operation operation, cancel_token token, Then then) {
  using wait = detail::actor_wait<Operation>;
  const auto response = self->new_request_id(caf::message_priority::normal).response_id();
  auto waiting = std::make_shared<wait>(std::move(operation), std::move(token), self->ctrl(), response);
  auto guard = std::make_shared<detail::wait_guard<Operation>>(waiting);
  self->add_multiplexed_response_handler(
      response, caf::behavior{[guard, then = std::move(then)](const detail::resumption& arrived) mutable {
        const auto ended = std::static_pointer_cast<wait>(arrived.wait);
        if constexpr (std::is_invocable_v<Then&, expected<typename Operation::result_type>, Operation&>)
          then(ended->take(), ended->operation());
        else
          then(ended->take());
      }});
  wait::start(waiting);
}

}  // namespace troupe
