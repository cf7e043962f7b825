#include "actors/serving/served_model.hpp"

#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace troupe {
namespace {

using testing_support::recorded_call;

model_folder folder_of(const std::string& name, std::size_t queue = 4) {
  model_folder folder;
  folder.name = name;
  folder.queue.capacity = queue;
  return folder;
}

std::shared_ptr<recorded_call> admitted(served_model& model) {
  auto call = std::make_shared<recorded_call>();
  EXPECT_TRUE(model.submit(call));
  return call;
}

error gone() {
  return make_error(status_code::cancelled, "gone");
}

TEST(served_model, admits_nothing_until_it_is_ready_and_says_why) {
  int changes = 0;
  served_model model{folder_of("m"), [&] { ++changes; }};
  EXPECT_EQ(model.describe(), nullptr);
  EXPECT_EQ(model.submit(std::make_shared<recorded_call>()).error().message(),
            "model 'm' is LOADING; ask ModelReady until it is ready");
  model.set_unavailable(make_error(status_code::data_loss, "a file is broken", "fetch it again"));
  EXPECT_EQ(model.submit(std::make_shared<recorded_call>()).error().cause,
            "model 'm' is UNAVAILABLE: a file is broken; fetch it again");
  model.set_loading();
  testing_support::make_ready(model);
  EXPECT_TRUE(model.submit(std::make_shared<recorded_call>()));
  EXPECT_EQ(changes, 3);
}

TEST(served_model, is_described_for_ever_once_it_was_ready) {
  served_model model{folder_of("m"), [] {}};
  testing_support::make_ready(model, {{}, {}, true});
  const auto* what = model.describe();
  ASSERT_TRUE(what);
  model.set_unavailable(gone());
  testing_support::make_ready(model, {{}, {}, true});
  EXPECT_EQ(model.describe(), what) << "callers may hold it";
}

TEST(served_model, answers_cancelled_calls_with_their_own_reason_and_leaves_the_others) {
  served_model model{folder_of("m"), [] {}};
  testing_support::make_ready(model);
  const auto stays = admitted(model), goes = admitted(model);
  goes->scope().cancel(gone());
  model.withdraw_cancelled();
  EXPECT_EQ(goes->wait().error().cause, "gone");
  EXPECT_FALSE(stays->answered());
  EXPECT_EQ(model.calls().stats().queued, 1u);
  EXPECT_EQ(model.calls().stats().withdrawn, 1u);
}

TEST(served_model, takes_a_call_whose_time_is_over_for_cancelled) {
  served_model model{folder_of("m"), [] {}};
  testing_support::make_ready(model);
  EXPECT_EQ(model.submit(std::make_shared<recorded_call>(steady_clock::now())).error().code,
            status_code::deadline_exceeded);
  const auto late = std::make_shared<recorded_call>(steady_clock::now() + std::chrono::milliseconds{30});
  ASSERT_TRUE(model.submit(late));
  testing_support::await([&] { return late->inference_call::token().cancelled(); });
  model.withdraw_cancelled();
  EXPECT_EQ(late->wait().error().code, status_code::deadline_exceeded);
}

// Callers that come and go away, a drain that ends, and a model that comes and goes: whoever takes a call out of the
// queue answers it, and nobody else.
TEST(served_model, stress_every_call_is_answered_once) {
  constexpr int each = 2000;
  served_model model{folder_of("m", 16), [] {}};
  testing_support::make_ready(model);
  std::vector<std::vector<std::shared_ptr<recorded_call>>> calls(3);
  std::atomic<bool> done = false;
  std::jthread flapping{[&] {
    while (!done) {
      model.set_unavailable(make_error(status_code::internal, "broken"));
      testing_support::make_ready(model);
    }
  }};
  std::jthread draining{[&] {
    while (!done)
      model.withdraw_cancelled();
  }};
  {
    std::vector<std::jthread> callers;
    for (auto& mine : calls)
      callers.emplace_back([&] {
        for (int i = 0; i != each; ++i) {
          const auto& call = mine.emplace_back(std::make_shared<recorded_call>());
          if (const auto submitted = model.submit(call); !submitted) {
            call->respond(submitted.error());
          } else if (i % 2 == 0) {
            call->scope().cancel(gone());
            if (model.withdraw(*call))
              call->respond(gone());
          }
        }
      });
  }
  done = true;
  flapping.join();
  draining.join();
  model.set_unavailable(make_error(status_code::internal, "ended"));
  for (const auto& of_one : calls)
    for (const auto& call : of_one)
      ASSERT_EQ(call->answers, 1);
  EXPECT_EQ(model.calls().stats().queued, 0u);
}

// A call that comes while the model goes must not be left in the queue of a model that nobody works for any more. The
// queue is long, so that whoever comes just then has to wait for its lock, and enters it when it was emptied.
TEST(served_model, stress_no_call_is_left_behind_when_the_model_goes) {
  for (int round = 0; round != 50; ++round) {
    served_model model{folder_of("m", 100'000), [] {}};
    testing_support::make_ready(model);
    std::vector<std::shared_ptr<recorded_call>> calls;
    std::atomic<int> submitted = 0;
    {
      std::jthread caller{[&] {
        for (bool going_on = true; going_on; ++submitted) {
          const auto& call = calls.emplace_back(std::make_shared<recorded_call>());
          if (const auto refused = model.submit(call); !refused) {
            call->respond(refused.error());
            going_on = false;
          }
        }
      }};
      while (submitted < 500)
        std::this_thread::yield();
      model.set_unavailable(make_error(status_code::internal, "broken"));
    }
    ASSERT_EQ(model.calls().stats().queued, 0u);
    for (const auto& call : calls)
      ASSERT_EQ(call->answers, 1);
  }
}

}  // namespace
}  // namespace troupe
