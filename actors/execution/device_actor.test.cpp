#include "actors/execution/device_actor.hpp"

#include "actors/execution/executor_pool.hpp"
#include "actors/supervision/supervisor.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <semaphore>

namespace troupe {
namespace {

TEST(device_actor, owns_its_pool_and_outlives_its_work) {
  caf::actor_system_config config;
  caf::actor_system system{config};
  const auto table = std::make_shared<device_table>();
  const auto actor = spawn_device(system, {"CPU", 1}, table);
  caf::scoped_actor self{system};
  EXPECT_EQ(table->find("CPU"), nullptr);
  self->request(actor, caf::infinite, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
  EXPECT_EQ(table->names(), std::vector<std::string>{"CPU"});
  std::binary_semaphore running{0}, go{0};
  bool ended = false;
  ASSERT_TRUE(table->find("CPU")->submit(make_job([&] {
    running.release();
    go.acquire();
    ended = true;
  })));
  running.acquire();
  self->monitor(actor);
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  while (table->find("CPU"))
    std::this_thread::yield();
  go.release();
  self->receive([&](const caf::down_msg& down) { EXPECT_EQ(down.reason, caf::exit_reason::user_shutdown); });
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace troupe
