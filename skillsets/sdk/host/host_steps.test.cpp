#include "skillsets/sdk/host/host_steps.hpp"

#include "skillsets/sdk/host/host_server.hpp"
#include "skillsets/sdk/host/testing.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gtest/gtest.h>

#include <future>
#include <semaphore>
#include <stdexcept>
#include <thread>

namespace troupe {
namespace {

using host::wire::ToHost;
using testing_support::counting_instance;
using testing_support::node_side;
using testing_support::socket_pair;

/// A server with a model that counts, two requests at once, and the node's side of it.
class host_steps_test : public testing::Test {
 protected:
  host_steps_test() {
    skills.on_make = [this](counting_instance& made) {
      engine = &made;
      engine->on_step = [this](std::size_t in) { return on_step(in); };
    };
    served_ = std::async(std::launch::async, [this] {
      host_server server{sockets_[1], [](host_exit) {}};
      return server.serve(skills);
    });
    node.next();
    EXPECT_EQ(node.load().loaded().capacity(), 2u);
  }
  ~host_steps_test() override {
    pause();  // whoever hears that knows what the test has read of the engine, which a closed socket tells nobody
    sockets_.close_end(0);
    if (served_.valid())
      served_.get();
  }

  host_exit exit() { return served_.get(); }

  void admit(std::uint32_t number, std::int32_t n) {
    ToHost message;
    message.mutable_admit()->set_item(number);
    host::to_wire(counting_instance::up_to(n), *message.mutable_admit()->mutable_request());
    static_cast<void>(node.say(message));
  }
  void work(std::uint32_t most_ms = 60'000) {
    ToHost message;
    message.mutable_work()->set_most_ms(most_ms);
    static_cast<void>(node.say(message));
  }
  void pause() {
    ToHost message;
    message.mutable_pause();
    static_cast<void>(node.say(message));
  }

  /// From now on a step says that it has begun, and ends when it may.
  void hold_steps() {
    on_step = [this](std::size_t) {
      stepping.release();
      go.acquire();
      return expected<void>{};
    };
  }

  /// Until the host has read that a request is taken back, which is the first or the second that is in.
  void await_cancelled(std::size_t which) {
    while (!engine->in[which].item->token().cancelled())
      std::this_thread::yield();
  }

  /// The next answer as `number:k`, with a full stop after the last word; or how the work ended.
  std::string next() {
    const auto said = node.next();
    if (said.has_done())
      return said.done().has_failure() ? said.done().failure().cause() : "done";
    const auto& answer = said.answer();
    const auto what = answer.has_failure()
                          ? answer.failure().cause()
                          : std::to_string(testing_support::elements<std::int32_t>(answer.response().outputs(0))[0]);
    return std::to_string(answer.item()) + ":" + what + (answer.last() ? "." : "");
  }

  socket_pair sockets_;
  testing_support::counting_skillset skills;
  std::function<expected<void>(std::size_t)> on_step = [](std::size_t) { return expected<void>{}; };
  std::binary_semaphore stepping{0}, go{0};
  counting_instance* engine = nullptr;
  node_side node{sockets_[0]};

 private:
  std::future<host_exit> served_;
};

TEST_F(host_steps_test, works_until_nothing_is_in) {
  admit(7, 3);
  admit(8, 1);
  work();
  for (const auto* expected : {"7:1", "8:1.", "7:2", "7:3.", "done"})
    EXPECT_EQ(next(), expected);
  work();
  EXPECT_EQ(next(), "done") << "nothing is in";
}

TEST_F(host_steps_test, works_no_longer_than_it_is_asked_to) {
  admit(1, 1'000'000'000);
  work(0);
  EXPECT_EQ(next(), "1:1");
  EXPECT_EQ(next(), "done") << "one step there is always";
  work(0);
  EXPECT_EQ(next(), "1:2") << "it goes on where it was";
  EXPECT_EQ(next(), "done");
}

TEST_F(host_steps_test, ends_early_for_a_pause) {
  hold_steps();
  admit(1, 1'000'000'000);
  admit(2, 1'000'000'000);
  work();
  stepping.acquire();
  pause();
  node.cancel(2);  // read after the pause
  await_cancelled(1);
  go.release();
  EXPECT_EQ(next(), "1:1");
  EXPECT_EQ(next(), "done");
}

TEST_F(host_steps_test, what_is_taken_back_leaves_between_two_steps) {
  hold_steps();
  admit(1, 1'000'000'000);
  admit(2, 2);
  work();
  stepping.acquire();
  node.cancel(1);
  await_cancelled(0);
  go.release();
  stepping.acquire();
  go.release();
  EXPECT_EQ(next(), "2:1") << "what 1 got then is dropped";
  EXPECT_EQ(next(), "2:2.");
  EXPECT_EQ(next(), "done");
  EXPECT_EQ(engine->evicted, 1);
}

TEST_F(host_steps_test, what_is_taken_back_in_the_last_step_is_out_when_the_work_is_done) {
  hold_steps();
  admit(1, 1'000'000'000);
  admit(2, 2);
  work(0);
  stepping.acquire();
  node.cancel(1);
  await_cancelled(0);
  go.release();
  EXPECT_EQ(next(), "2:1");
  const auto done = node.next().done();
  EXPECT_EQ(done.metrics(0), 2) << "the warm-up was a step, too";
  EXPECT_EQ(done.metrics(1), 1) << "one of the two is in";
}

TEST_F(host_steps_test, what_is_taken_back_between_works_does_not_stay_in) {
  admit(1, 1'000'000'000);
  work(0);
  EXPECT_EQ(next(), "1:1");
  EXPECT_EQ(next(), "done");
  node.cancel(1);
  while (engine->evicted == 0)
    std::this_thread::yield();
  admit(2, 1);
  admit(3, 1);
  work();
  EXPECT_EQ(next(), "2:1.");
}

TEST_F(host_steps_test, a_failed_step_is_the_end_of_all_that_are_in) {
  admit(1, 2);
  on_step = [](std::size_t) -> expected<void> { throw std::runtime_error{"out of luck"}; };
  work();
  EXPECT_EQ(next(), "the skillset failed: out of luck");
  on_step = [](std::size_t) { return expected<void>{}; };
  admit(1, 1);
  work();
  EXPECT_EQ(next(), "1:1.");
  EXPECT_EQ(next(), "done");
}

TEST_F(host_steps_test, who_cant_be_let_in_is_told_why) {
  admit(1, -3);
  work();
  EXPECT_EQ(next(), "1:can't count to -3.");
  EXPECT_EQ(next(), "done");
}

TEST_F(host_steps_test, a_node_that_breaks_the_contract_is_left) {
  admit(1, 1'000'000'000);
  admit(1, 1);
  EXPECT_TRUE(node.gone());
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_steps_test, one_request_too_many_breaks_it) {
  for (std::uint32_t number = 0; number != 3; ++number)
    admit(number, 1'000'000'000);
  EXPECT_TRUE(node.gone());
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_steps_test, a_batch_is_not_for_it) {
  node.run({counting_instance::up_to(1)});
  EXPECT_TRUE(node.gone());
  EXPECT_EQ(exit(), host_exit::contract);
}

}  // namespace
}  // namespace troupe
