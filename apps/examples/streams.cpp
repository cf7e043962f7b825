/// A stream: what an actor sends at one end, a coroutine receives at the other; threads would do as well. This one has
/// room for one item, so that whoever is faster waits for the other. It ends when its last sender has gone.

#include "actors/concurrency/await.hpp"
#include "actors/supervision/actor_task.hpp"
#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/runtime.hpp"

#include <caf/actor_system.hpp>

#include <iostream>

using namespace troupe;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

using shared_sender = std::shared_ptr<send_half<std::string>>;

/// Sends what is left to say, one word after the other, without holding a thread while it waits.
void recite(caf::event_based_actor* self, const shared_sender& out, std::vector<std::string> left) {
  if (left.empty())
    return self->quit();
  auto next = out->send(left.front());
  left.erase(left.begin());
  await(self, std::move(next), {}, [self, out, left = std::move(left)](const expected<void>& sent) {
    sent ? recite(self, out, left) : self->quit(to_caf(sent.error()));
  });
}

caf::behavior poet(caf::event_based_actor* self, const shared_sender& out) {
  return {[self, out](start_atom) { recite(self, out, {"to be", "or not", "to be"}); }};
}

awaitable<expected<void>> hear(receive_half<std::string> in, cancel_token token) {
  for (;;) {
    const auto word = co_await async(in.receive(), token, use_awaitable);
    if (!word && word.error().code != status_code::out_of_range)
      co_return word.error();
    std::cout << (word ? *word : "silence: the stream has ended") << "\n";
    if (!word)
      co_return expected<void>{};
  }
}

}  // namespace

int main() {
  return run([](runtime& all) {
    return with_task_group(all.token(), [&](task_group& group) -> awaitable<expected<void>> {
      auto [sender, receiver] = *make_stream<std::string>(1);
      // An actor's start function is copied, which a sender can't be. Whoever keeps one keeps the stream open.
      auto out = std::make_shared<send_half<std::string>>(std::move(sender));
      group.start_soon(all.system(),
                       [out = std::move(out)](caf::actor_system& system) { return system.spawn(poet, out); });
      co_return co_await hear(std::move(receiver), group.token());
    });
  });
}
