#include "actors/execution/device_actor.hpp"

#include "actors/execution/executor_pool.hpp"
#include "actors/supervision/supervisor.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <semaphore>
#include <thread>
#include <vector>

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
  ASSERT_EQ(table->all().size(), 1u);
  EXPECT_EQ(table->all().front().what.slots, 1u);
  EXPECT_EQ(table->all().front().pool, table->find("CPU"));
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

TEST(device_actor, stopped_before_it_started_leaves_no_pool) {
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("testing"));
  caf::actor_system system{config};
  auto& scheduler = dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  const auto table = std::make_shared<device_table>();
  auto actor = spawn_device(system, {"CPU", 1}, table);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  caf::anon_send(actor, start_atom::value);
  actor = nullptr;
  scheduler.run();
  EXPECT_EQ(table->find("CPU"), nullptr);
  EXPECT_EQ(system.registry().running(), 0u);
}

TEST(device_actor, ends_also_when_it_is_stopped_for_no_reason) {
  caf::actor_system_config config;
  caf::actor_system system{config};
  const auto table = std::make_shared<device_table>();
  const auto actor = spawn_device(system, {"CPU", 1}, table);
  caf::scoped_actor self{system};
  self->request(actor, caf::infinite, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
  self->send_exit(actor, caf::exit_reason::normal);
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  self->wait_for(actor);
  EXPECT_EQ(table->find("CPU"), nullptr);
}

TEST(device_table, stress_devices_come_and_go_while_others_look) {
  device_table table;
  std::vector<std::jthread> threads;
  for (const std::string name : {"CPU", "GPU"})
    threads.emplace_back([&, name] {
      for (int i = 0; i != 200; ++i) {
        const auto pool = std::make_shared<executor_pool>(name, pool_capacity{1});
        table.insert({name, 1}, pool);
        EXPECT_EQ(table.find(name), pool);
        table.erase(name);
        EXPECT_EQ(table.find(name), nullptr);
      }
    });
  threads.emplace_back([&] {
    for (int i = 0; i != 2000; ++i)
      for (const auto& name : table.names()) {
        const auto pool = table.find(name);
        EXPECT_TRUE(!pool || pool->name() == name);
      }
  });
}

}  // namespace
}  // namespace troupe
