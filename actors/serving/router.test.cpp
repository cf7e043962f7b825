#include "actors/serving/router.hpp"

#include "actors/serving/served_model.hpp"
#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace troupe {
namespace {

std::shared_ptr<served_model> model_of(const std::string& name,
                                       failure_policy on_failure = failure_policy::unavailable) {
  model_folder folder;
  folder.name = name;
  folder.on_failure = on_failure;
  return std::make_shared<served_model>(std::move(folder), [] {});
}

const auto broken = make_error(status_code::internal, "broken");

TEST(router, is_settled_when_there_is_nothing_left_to_wait_for) {
  router routes;
  EXPECT_TRUE(routes.settled());
  const auto may_fail = model_of("a"), must_not = model_of("b", failure_policy::fatal);
  routes.insert(may_fail);
  routes.insert(must_not);
  EXPECT_FALSE(routes.settled());
  may_fail->set_unavailable(broken);
  testing_support::make_ready(*must_not);
  EXPECT_TRUE(routes.settled());
  must_not->set_unavailable(broken);
  EXPECT_FALSE(routes.settled());
}

TEST(router, a_model_takes_the_place_of_its_namesake) {
  router routes;
  const auto before = model_of("m"), after = model_of("m");
  routes.insert(before);
  routes.insert(after);
  EXPECT_EQ(*routes.find("m", "1"), after);
  EXPECT_EQ(routes.all().size(), 1u);
}

TEST(router, stress_nobody_is_called_after_it_unsubscribed) {
  router routes;
  std::atomic<bool> done = false;
  std::jthread notifying{[&] {
    while (!done)
      routes.notify();
  }};
  std::jthread inserting{[&] {
    while (!done)
      routes.insert(model_of("m"));
  }};
  {
    std::vector<std::jthread> watching;
    for (int t = 0; t != 2; ++t)
      watching.emplace_back([&] {
        for (int i = 0; i != 500; ++i) {
          const auto alive = std::make_unique<std::atomic<bool>>(true);
          const auto watch = routes.subscribe([&, seen = alive.get()] {
            EXPECT_TRUE(*seen);
            static_cast<void>(routes.find("m", ""));
            static_cast<void>(routes.settled());
          });
          routes.unsubscribe(watch);
          *alive = false;
        }
      });
  }
  done = true;
}

}  // namespace
}  // namespace troupe
