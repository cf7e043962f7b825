#include "actors/serving/hosts/host_connection.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/serving/hosts/hosted_skillset.hpp"
#include "actors/serving/testing.hpp"
#include "skillsets/sdk/continuous_work.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <future>
#include <limits>
#include <list>
#include <random>
#include <thread>

namespace troupe {
namespace {

using testing::HasSubstr;
using testing_support::await;
using testing_support::counting_instance;
using testing_support::recorded_item;
using testing_support::respond;

host_command fixture(const std::string& mode) {
  return {TROUPE_HOST_FIXTURE, {mode}};
}

/// Hosts that behave in some way, with little patience.
struct host_test : testing::Test {
  expected<std::unique_ptr<host_connection>> start(const std::string& mode) {
    return host_connection::start(fixture(mode), "m", limits, scope.token());
  }

  /// One that has loaded its model and done one batch, as the warm-up is.
  std::unique_ptr<host_connection> ready(const std::string& mode) {
    auto host = start(mode);
    EXPECT_TRUE(host) << host.error().message();
    EXPECT_TRUE((*host)->load({}, scope.token()));
    EXPECT_TRUE(run(**host));
    return *std::move(host);
  }

  static inference_request request() {
    inference_request result;
    result.inputs.push_back({"in", datatype::fp32, {2}, buffer::take(std::string(8, '\2'))});
    return result;
  }

  expected<void> run(host_connection& host) {
    recorded_item item{request()};
    work_item* const batch[] = {&item};
    auto done = host.run(batch, what, {});
    last = item.last;
    return done;
  }

  /// How a batch ends that breaks the host.
  error breaks(const std::string& mode) {
    const auto host = ready(mode);
    const auto done = run(*host);
    EXPECT_FALSE(done) << mode;
    EXPECT_FALSE(host->usable()) << mode;
    EXPECT_EQ(done.error().code, status_code::unavailable) << mode;
    return done.error();
  }

  const signature what{{{"in", datatype::fp32, {-1}}}, {{"out", datatype::fp32, {-1}}}, true};
  cancel_scope scope;
  host_connection::patience limits{.cancel = std::chrono::milliseconds{50}};
  std::optional<expected<inference_response>> last;
};

TEST_F(host_test, answers_what_it_is_asked) {
  const auto host = ready("behaves");
  EXPECT_EQ(host->hello().name(), "fixture");
  for (int i = 0; i != 100; ++i) {
    ASSERT_TRUE(run(*host));
    ASSERT_TRUE(last && *last);
    EXPECT_EQ((*last)->outputs.front().data.view(), std::string(8, '\2'));
  }
  EXPECT_TRUE(host->usable());
}

TEST_F(host_test, that_does_not_come_to_be_is_told_with_the_reason) {
  EXPECT_THAT(
      start("exits at once").error().message(),
      HasSubstr("the host process of model 'm' ended with exit code 0, and its last words were: fixture: exits"));
  EXPECT_EQ(start("speaks another contract").error().code, status_code::failed_precondition);
  EXPECT_THAT(start("says garbage").error().message(), HasSubstr("which can't be one"));
  limits.hello = std::chrono::milliseconds{20};
  EXPECT_THAT(start("never says hello").error().message(), HasSubstr("did not answer within 20 ms"));
  const auto nothing = host_connection::start({"/no/such/program", {}}, "m", limits, {});
  EXPECT_THAT(nothing.error().message(), HasSubstr("cannot start '/no/such/program': No such file"));
}

TEST_F(host_test, that_can_not_load_says_why) {
  auto host = start("can't load");
  ASSERT_TRUE(host);
  EXPECT_EQ((*host)->load({}, {}).error().code, status_code::data_loss);
  host = start("crashes in load");
  ASSERT_TRUE(host);
  EXPECT_THAT((*host)->load({}, {}).error().message(), HasSubstr("killed by signal 11"));
  EXPECT_FALSE((*host)->usable());
}

TEST_F(host_test, whose_load_is_cancelled_is_not_waited_for) {
  const auto host = start("never loads");
  ASSERT_TRUE(host);
  auto loaded = std::async(std::launch::async, [&] { return (*host)->load({}, scope.token()); });
  scope.cancel(make_error(status_code::cancelled, "not wanted"));
  EXPECT_EQ(loaded.get().error().code, status_code::cancelled);
}

TEST_F(host_test, that_breaks_in_a_batch_is_told_with_how) {
  EXPECT_THAT(breaks("crashes").message(), HasSubstr("was killed by signal 11"));
  EXPECT_THAT(breaks("aborts").message(), HasSubstr("was killed by signal 6"));
  EXPECT_THAT(breaks("exits").message(), HasSubstr("ended with exit code 0"));
  EXPECT_THAT(breaks("closes its socket").message(), HasSubstr("was killed by signal 9"));
  EXPECT_THAT(breaks("answers twice").message(), HasSubstr("answers what it was not asked"));
  EXPECT_THAT(breaks("answers what was not asked").message(), HasSubstr("answers what it was not asked"));
}

TEST_F(host_test, that_gives_wrong_outputs_fails_the_request_alone) {
  const auto host = ready("gives wrong shapes");
  EXPECT_TRUE(run(*host));
  ASSERT_TRUE(last && !*last);
  EXPECT_EQ(last->error().code, status_code::internal);
  EXPECT_THAT(last->error().message(), HasSubstr("has shape [2, 1000] and not [-1]"));
  EXPECT_TRUE(host->usable());
}

/// How a host ends whose batch is cancelled.
error ends_when_cancelled(host_connection& host, const signature& what) {
  std::promise<error> how;
  host.watch([&](const error& ended) { how.set_value(ended); });
  cancel_scope mine;
  auto done = std::async(std::launch::async, [&] {
    recorded_item item{host_test::request(), mine.token()};
    work_item* const batch[] = {&item};
    return host.run(batch, what, mine.token());
  });
  mine.cancel(make_error(status_code::cancelled, "not wanted"));
  EXPECT_THAT(done.get().error().message(), HasSubstr("ignored for 50 ms that its work was cancelled"));
  EXPECT_FALSE(host.usable());
  return how.get_future().get();
}

TEST_F(host_test, that_ignores_cancellation_is_asked_to_end) {
  EXPECT_THAT(ends_when_cancelled(*ready("ignores cancellation"), what).message(), HasSubstr("killed by signal 15"));
}

/// Takes answers more slowly than a host can give them, and is cancelled with the first.
class slow_item final : public work_item {
 public:
  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return scope_.token(); }
  void send(inference_response) override {
    scope_.cancel(make_error(status_code::cancelled, "that is enough"));
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  void respond(expected<inference_response>) override {}
  void complete() override {}

 private:
  const inference_request request_ = host_test::request();
  cancel_scope scope_;
};

TEST_F(host_test, that_never_stops_answering_is_cancelled_all_the_same) {
  const auto host = ready("answers without end");
  slow_item item;
  work_item* const batch[] = {&item};
  EXPECT_THAT(host->run(batch, what, item.token()).error().message(),
              HasSubstr("ignored for 50 ms that its work was cancelled"));
}

TEST_F(host_test, that_ignores_that_too_loses_its_life) {
  EXPECT_THAT(ends_when_cancelled(*ready("ignores being asked to end"), what).message(),
              HasSubstr("killed by signal 9"));
}

TEST_F(host_test, that_says_nothing_while_it_works_is_not_waited_for) {
  limits.silence = std::chrono::milliseconds{50};
  EXPECT_THAT(breaks("ignores cancellation").message(), HasSubstr("did not answer within 50 ms, and was killed"));
  EXPECT_THAT(breaks("announces more than it sends").message(), HasSubstr("did not answer within 50 ms"));
}

TEST_F(host_test, that_answers_now_and_then_may_take_its_time) {
  limits.silence = std::chrono::milliseconds{2500};
  const auto host = ready("takes its time");
  std::list<recorded_item> items;
  std::vector<work_item*> batch;
  for (int i = 0; i != 8; ++i)
    batch.push_back(&items.emplace_back(request()));
  const auto began = steady_clock::now();
  EXPECT_TRUE(host->run(batch, what, {}));
  EXPECT_GT(steady_clock::now() - began, limits.silence);
  EXPECT_TRUE(items.back().last && *items.back().last);
}

TEST_F(host_test, takes_its_children_along) {
  const auto why = breaks("leaves a child");
  EXPECT_THAT(why.message(), HasSubstr("ended with exit code 3"));
}

TEST_F(host_test, that_talks_without_end_works_nevertheless) {
  const auto host = ready("floods");
  EXPECT_TRUE(run(*host));
  EXPECT_TRUE(host->usable());
}

TEST_F(host_test, that_dies_while_it_is_idle_is_told_of) {
  auto process = host_process::start(fixture("behaves"), "m");
  ASSERT_TRUE(process);
  std::promise<error> told;
  (*process)->watch([&](const error& how) { told.set_value(how); });
  ::kill((*process)->id(), SIGKILL);
  EXPECT_THAT(told.get_future().get().message(), HasSubstr("was killed by signal 9"));
  EXPECT_EQ((*process)->end().code, status_code::unavailable) << "asked again, it says the same";
}

// -- large tensors ----------------------------------------------------------------------------------------------------

/// How many segments a process has in its memory.
int segments_of(pid_t process) {
  std::ifstream maps{"/proc/" + std::to_string(process) + "/maps"};
  int found = 0;
  for (std::string line; std::getline(maps, line);)
    found += line.find("memfd:troupe-tensor") != std::string::npos ? 1 : 0;
  return found;
}

/// A host that has its tensors in segments, with a clock that the test moves.
struct sharing_host : host_test {
  sharing_host() : mine(scope_options{.clock = &time}) {}

  void begin(const std::string& mode = "shares", std::uint64_t memory_mib = 0) {
    auto started = host_connection::start(fixture(mode), "m", limits, mine.token());
    ASSERT_TRUE(started) << started.error().message();
    host = *std::move(started);
    model_settings settings;
    settings.host.memory_mib = memory_mib;
    ASSERT_TRUE(host->load(settings, mine.token()));
    child = testing_support::children().front();
  }

  /// Its answer to so many bytes of `c`, which must be the same.
  expected<inference_response> ask(char c, std::size_t bytes = 4 * attachments::worthwhile) {
    recorded_item item{
        {{{"in", datatype::fp32, {static_cast<std::int64_t>(bytes / 4)}, buffer::take(std::string(bytes, c))}}, {}}};
    work_item* const batch[] = {&item};
    if (auto done = host->run(batch, what, {}); !done)
      return done.error();
    EXPECT_TRUE(item.last);
    return *item.last;
  }

  void expect_echo(char c) {
    const auto answer = ask(c);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->outputs.front().data.view(), std::string(4 * attachments::worthwhile, c));
  }

  /// How the second answer breaks a host, while the first is still looked at.
  std::string breaks_with(const std::string& mode) {
    begin(mode);
    const auto first = ask('1');
    const auto second = first ? ask('2') : first;
    EXPECT_FALSE(second) << mode;
    EXPECT_FALSE(host->usable()) << mode;
    const auto why = (first ? second : first).error();
    EXPECT_EQ(why.code, status_code::unavailable) << mode;
    host = nullptr;
    EXPECT_EQ(segments_of(getpid()), first ? 1 : 0) << mode;
    return why.cause;
  }

  virtual_clock time;
  cancel_scope mine;
  std::unique_ptr<host_connection> host;
  pid_t child = 0;
};

TEST_F(sharing_host, uses_the_same_memory_again) {
  begin();
  for (int i = 0; i != 50; ++i)
    expect_echo(static_cast<char>('a' + i % 26));
  EXPECT_EQ(segments_of(getpid()), 2) << "one each way";
  EXPECT_EQ(segments_of(child), 2);
  host = nullptr;
  EXPECT_EQ(segments_of(getpid()), 0);
}

TEST_F(sharing_host, leaves_alone_what_is_still_looked_at) {
  begin();
  const auto first = ask('1'), second = ask('2');
  for (const char c : {'3', '4', '5'})
    expect_echo(c);
  EXPECT_EQ(first->outputs.front().data.view()[7], '1');
  EXPECT_EQ(second->outputs.front().data.view()[7], '2');
  host = nullptr;
  EXPECT_EQ(segments_of(getpid()), 2) << "that it has ended makes no difference to that";
  EXPECT_EQ(first->outputs.front().data.view()[7], '1');
}

TEST_F(sharing_host, gives_its_memory_back_when_it_is_idle) {
  begin();
  expect_echo('a');
  auto kept = ask('b');
  EXPECT_EQ(segments_of(getpid()), 2);
  time.advance(limits.keep);
  EXPECT_EQ(segments_of(getpid()), 1) << "one is looked at";
  EXPECT_EQ(kept->outputs.front().data.view()[7], 'b');
  kept = make_error(status_code::cancelled, "not wanted");
  time.advance(limits.keep);
  EXPECT_EQ(segments_of(getpid()), 0);
  expect_echo('c');
  await([&] { return segments_of(child) == 2; });
  time.advance(limits.keep);
  EXPECT_EQ(segments_of(getpid()), 0);
  expect_echo('d');
  EXPECT_EQ(segments_of(child), 2) << "it has given the others back";
  EXPECT_EQ(time.armed(), 1u);
}

TEST_F(sharing_host, that_never_releases_gets_files_when_there_is_no_more) {
  begin("shares and never releases");
  for (int i = 0; i != 6; ++i) {
    const auto answer = ask('x', std::size_t{16} << 20);
    ASSERT_TRUE(answer) << answer.error().message();
  }
  EXPECT_EQ(segments_of(getpid()), 5) << "four of 16 MiB that it keeps, and one of its own";
  EXPECT_TRUE(host->usable());
}

TEST_F(sharing_host, that_gives_more_than_it_may_have_fails_the_request_alone) {
  begin("shares", 80);
  std::vector<expected<inference_response>> answers;
  for (int i = 0; i != 9; ++i)
    answers.push_back(ask('x', std::size_t{16} << 20));
  for (int i = 0; i != 9; ++i)  // four in segments, five in files
    ASSERT_TRUE(answers[static_cast<std::size_t>(i)]) << i;
  EXPECT_EQ(ask('x', std::size_t{16} << 20).error().code, status_code::resource_exhausted);
  answers.pop_back();
  EXPECT_TRUE(ask('x', std::size_t{16} << 20));
  EXPECT_TRUE(host->usable());
}

TEST_F(sharing_host, that_breaks_the_rules_is_ended) {
  EXPECT_THAT(breaks_with("shares and releases twice"), HasSubstr("lets go of segment 1, which it doesn't have"));
  EXPECT_THAT(breaks_with("shares and releases what it hasn't got"), HasSubstr("lets go of segment 99"));
  EXPECT_THAT(breaks_with("shares and returns what it hasn't released"), HasSubstr("returns segment 99"));
  EXPECT_THAT(breaks_with("shares and drops what is looked at"),
              HasSubstr("segment 1 of the other process was not re"));
  EXPECT_THAT(breaks_with("shares and doesn't wait"), HasSubstr("segment 1 of the other process was not released"));
  EXPECT_THAT(breaks_with("shares without a file"), HasSubstr("segment 1 of the other process is not there"));
  EXPECT_THAT(breaks_with("shares BYTES"), HasSubstr("which BYTES must not be"));
  EXPECT_THAT(breaks_with("shares what can be made shorter"), HasSubstr("isn't sealed against shrinking"));
  EXPECT_THAT(breaks_with("shares more than it may"), HasSubstr("is one more, or larger, than it may have"));
}

TEST_F(sharing_host, that_changes_what_it_gave_gives_wrong_numbers_and_that_is_all) {
  begin("shares and changes it");
  for (int i = 0; i != 20; ++i) {
    const auto answer = ask('x');
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->outputs.front().data.size(), 4 * attachments::worthwhile);
  }
  EXPECT_TRUE(host->usable());
}

TEST_F(sharing_host, stress_buffers_go_on_other_threads_while_it_works_and_is_idle) {
  begin();
  std::mutex mutex;
  std::list<expected<inference_response>> answers;  // guarded by mutex
  std::atomic<bool> over = false;
  std::vector<std::jthread> threads;
  for (int i = 0; i != 2; ++i)
    threads.emplace_back([&] {
      while (!over) {
        std::list<expected<inference_response>> one;
        const std::lock_guard lock{mutex};
        if (!answers.empty())
          one.splice(one.begin(), answers, answers.begin());
      }
    });
  threads.emplace_back([&] {
    while (!over)
      time.advance(limits.keep / 3);
  });
  for (int i = 0; i != 300; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    auto answer = ask(c, attachments::worthwhile);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->outputs.front().data.view(), std::string(attachments::worthwhile, c));
    const std::lock_guard lock{mutex};
    answers.push_back(std::move(answer));
  }
  over = true;
}

TEST(hosted_skillset, is_a_skillset_like_others) {
  auto skills = hosted_skillset::open(fixture("behaves"), "fixture", {});
  ASSERT_TRUE(skills) << skills.error().message();
  EXPECT_EQ((*skills)->name(), "fixture");
  const auto model = (*skills)->load({}, {});
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_TRUE((*model)->describe().batches);
  EXPECT_EQ((*model)->batching().limits.items, 8);
  for (int i = 0; i != 2; ++i) {
    const auto worker = (*model)->make_instance();
    ASSERT_TRUE(worker);
    EXPECT_TRUE(respond(**worker, (*model)->warm_up()));
  }
}

/// An instance that counts, in a host with room for two requests.
struct hosted_continuous : testing::Test {
  hosted_continuous() {
    skills = *hosted_skillset::open(fixture("counts"), "counts", {});
    model = *skills->load({}, {});
    worker = *model->make_instance();
    engine = worker->continuous();
  }

  static recorded_item up_to(std::int32_t n, cancel_token token = {}) {
    return recorded_item{counting_instance::up_to(n), std::move(token)};
  }

  static void step(continuous_work& work) {
    const auto done = work.step();
    ASSERT_TRUE(done) << done.error().message();
  }

  std::unique_ptr<hosted_skillset> skills;
  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
  continuous_instance* engine = nullptr;
};

TEST_F(hosted_continuous, works_step_by_step_as_one_in_the_node_does) {
  ASSERT_TRUE(engine);
  EXPECT_EQ(engine->capacity(), 2u);
  const auto responses = run_one(*worker, counting_instance::up_to(1000), {});
  ASSERT_TRUE(responses) << responses.error().message();
  ASSERT_EQ(responses->size(), 1000u);
  EXPECT_EQ(counting_instance::number(responses->back().outputs.front()), 1000);
}

TEST_F(hosted_continuous, who_cant_be_let_in_is_told_why) {
  auto bad = up_to(-1);
  work_item* const batch[] = {&bad};
  EXPECT_TRUE(worker->run(batch, {}));
  ASSERT_TRUE(bad.last);
  EXPECT_EQ(bad.last->error().cause, "can't count to -1");
}

TEST_F(hosted_continuous, a_step_ends_early_when_it_is_interrupted_or_somebody_is_cancelled) {
  cancel_scope scope;
  auto endless = up_to(std::numeric_limits<std::int32_t>::max(), scope.token());
  continuous_work work{*engine};
  work.admit(endless);
  std::jthread interrupter{[&](const std::stop_token& over) {
    while (!over.stop_requested())
      engine->interrupt();
  }};
  for (int i = 0; i != 10; ++i)
    ASSERT_TRUE(work.step());
  interrupter = {};
  EXPECT_FALSE(endless.responses.empty());
  std::jthread canceller{[&] { scope.cancel(make_error(status_code::cancelled, "not wanted")); }};
  while (!work.empty())
    ASSERT_TRUE(work.step());
  EXPECT_EQ(endless.last->error().cause, "not wanted");
  auto other = up_to(2);
  work.admit(other);
  while (!work.empty())
    ASSERT_TRUE(work.step());
  EXPECT_TRUE(other.last && *other.last) << "and all goes on";
}

TEST_F(hosted_continuous, one_that_dies_in_a_step_is_told_with_how) {
  cancel_scope scope;
  auto endless = up_to(std::numeric_limits<std::int32_t>::max());
  continuous_work work{*engine};
  work.admit(endless);
  ASSERT_TRUE(work.step());
  std::promise<void> broken;
  worker->watch([&](const error&) { broken.set_value(); });
  for (const auto child : testing_support::children())
    ::kill(child, SIGKILL);
  const auto why = [&] {
    for (;;)
      if (auto done = work.step(); !done)
        return done.error();
  }();
  EXPECT_THAT(why.message(), HasSubstr("was killed by signal 9"));
  EXPECT_FALSE(worker->usable());
  EXPECT_TRUE(work.empty());
  broken.get_future().wait();
}

TEST_F(hosted_continuous, many_come_and_go_and_each_gets_what_it_asked_for) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  continuous_work work{*engine};
  std::list<cancel_scope> scopes;
  std::list<recorded_item> items;
  for (int i = 0; i != 300; ++i) {
    while (!work.has_room())
      step(work);
    const auto n = static_cast<std::int32_t>(random() % 20);
    scopes.emplace_back();
    items.push_back(up_to(n, scopes.back().token()));
    work.admit(items.back());
    if (random() % 5 == 0)
      scopes.back().cancel(make_error(status_code::cancelled, "not wanted"));
  }
  while (!work.empty())
    step(work);
  for (auto& item : items) {
    ASSERT_TRUE(item.last);
    const auto n = counting_instance::number(item.request().inputs.front());
    if (*item.last)
      EXPECT_EQ(static_cast<std::int32_t>(item.responses.size()) + 1, n);
    else
      EXPECT_TRUE(n < 1 || item.token().cancelled()) << item.last->error().message();
  }
}

TEST(host_process, gets_huge_pages_unless_the_environment_says_what_malloc_does) {
  const auto tunables = [] {
    const auto shell = host_process::start({"/bin/sh", {"-c", "echo tunables=$GLIBC_TUNABLES."}}, "m");
    EXPECT_TRUE(shell);
    (*shell)->wait(std::chrono::minutes{1});
    return (*shell)->end().cause;
  };
  EXPECT_THAT(tunables(), HasSubstr("tunables=glibc.malloc.hugetlb=1."));
  setenv("GLIBC_TUNABLES", "glibc.malloc.check=0", 1);
  EXPECT_THAT(tunables(), HasSubstr("tunables=glibc.malloc.check=0."));
  unsetenv("GLIBC_TUNABLES");
}

TEST(host_process, stress_many_are_started_and_killed) {
  std::vector<std::jthread> threads;
  for (int t = 0; t != 3; ++t)
    threads.emplace_back([] {
      for (int i = 0; i != 20; ++i) {
        const auto host = host_connection::start(fixture("behaves"), "m", {}, {});
        ASSERT_TRUE(host) << host.error().message();
      }
    });
}

}  // namespace
}  // namespace troupe
