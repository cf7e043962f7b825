#include "actors/serving/model_folder.hpp"

#include "actors/serving/file_hash.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing_support::scripted_skillset;
using testing_support::temporary_folder;

constexpr auto empty_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct model_folder_test : testing::Test {
  model_folder_test() { catalog.add(std::make_unique<scripted_skillset>()); }

  expected<model_folder> read(const std::string& text) {
    folder.write("m/model.toml", text);
    return read_model_folder(folder.path() / "m", catalog);
  }

  std::string refusal(const std::string& text) {
    const auto result = read(text);
    EXPECT_FALSE(result) << text;
    if (result)
      return {};
    EXPECT_EQ(result.error().code, status_code::invalid_argument);
    const auto& cause = result.error().cause;
    const auto file = (folder.path() / "m/model.toml").string();
    return cause.rfind(file, 0) == 0 ? cause.substr(file.size()) : cause;
  }

  temporary_folder folder;
  skillset_catalog catalog{{folder.path() / "skillsets"}};
};

TEST_F(model_folder_test, fills_in_what_is_not_said) {
  const auto m = read("skillset = 'scripted'");
  ASSERT_TRUE(m);
  EXPECT_EQ(m->name, "m");
  EXPECT_EQ(m->version, "1");
  EXPECT_EQ(m->device, "CPU");
  EXPECT_EQ(m->instances, 1);
  EXPECT_EQ(m->on_failure, failure_policy::fatal);
  EXPECT_EQ(m->limits.items, 1024);
  EXPECT_EQ(m->queue.capacity, 128u);
  EXPECT_EQ(m->options.at("flag"), parameter{true});
  EXPECT_EQ(m->options.at("count"), parameter{std::int64_t{3}});
  EXPECT_EQ(m->options.at("ratio"), parameter{0.5});
  EXPECT_EQ(m->options.at("mode"), parameter{std::string{"fast"}});
}

TEST_F(model_folder_test, reads_everything_that_can_be_said) {
  const auto m =
      read(std::string{"skillset = 'scripted'\nversion = '2'\ndevice = 'GPU'\nalternatives = ['CPU']\ninstances = 4\n"
                       "threads = 2\nweight = 2.5\nmemory_mib = 3\n"
                       "on_failure = 'unavailable'\n[limits]\nitems = 5\n"
                       "[queue]\ncapacity = 6\nmax_wait = '2s'\npriorities = 5\n"
                       "[batching]\nmax_batch = 7\nmax_units = 800\nmax_delay = '500us'\n"
                       "[sequences]\ncapacity = 9\nmax_idle = '4s'\n"
                       "[restart]\nintensity = 8\nperiod = '9s'\nbackoff = '2s'\n"
                       "[host]\nstart = '5s'\nsilence = '6s'\n[cancel]\ngrace = '7s'\n"
                       "[options]\nflag = false\ncount = 10\nratio = 1\nmode = 'slow'\n"
                       "[files]\nweights = { path = 'w.bin', sha256 = '"} +
           empty_sha256 + "' }\n");
  ASSERT_TRUE(m) << to_string(m.error());
  EXPECT_EQ(m->version, "2");
  EXPECT_EQ(m->on_failure, failure_policy::unavailable);
  EXPECT_EQ(m->queue.capacity, 6u);
  EXPECT_EQ(m->queue.max_wait, std::chrono::seconds{2});
  EXPECT_EQ(m->queue.priorities, 5u);
  EXPECT_EQ(m->queue.default_priority, 3u) << "the one in the middle";
  EXPECT_EQ(m->batching.max_batch, 7);
  EXPECT_EQ(m->batching.max_units, 800);
  EXPECT_EQ(m->batching.max_delay, std::chrono::microseconds{500});
  EXPECT_EQ(m->sequences.capacity, 9u);
  EXPECT_EQ(m->sequences.max_idle, std::chrono::seconds{4});
  EXPECT_EQ(m->alternatives, std::vector<std::string>{"CPU"});
  EXPECT_EQ(m->threads, 2u);
  EXPECT_EQ(m->weight, 2.5);
  EXPECT_EQ(m->memory, 3u << 20);
  EXPECT_EQ(m->options.at("ratio"), parameter{1.0});
  EXPECT_EQ(m->files.at("weights").path, folder.path() / "m/w.bin");
  EXPECT_EQ(m->restart.intensity, 8);
  EXPECT_EQ(m->restart.period, std::chrono::seconds{9});
  EXPECT_EQ(m->restart.backoff, std::chrono::seconds{2});
  EXPECT_EQ(m->restart.max_backoff, std::chrono::seconds{2});
  const auto settings = settings_of(*m);
  EXPECT_EQ(settings.instances, 4);
  EXPECT_EQ(settings.device, "GPU");
  EXPECT_EQ(settings.host.start, std::chrono::seconds{5});
  EXPECT_EQ(settings.host.silence, std::chrono::seconds{6});
  EXPECT_EQ(settings.host.cancel_grace, std::chrono::seconds{7});
}

TEST_F(model_folder_test, names_line_and_key_of_what_is_wrong) {
  EXPECT_EQ(refusal("version = '1'"), ":1: 'skillset' is missing");
  EXPECT_EQ(refusal("skillset = 'scripted'\ninstances = 0"), ":2: 'instances' must be an integer from 1 to 1024");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[options]\ncount = 11"),
            ":3: 'options.count' must be an integer from 1 to 10");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[options]\nmode = 'odd'"), ":3: 'options.mode' is 'odd'");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[options]\nspeed = 1"), ":3: 'speed' is not a known key");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[queue]\ncapacity = -1").substr(0, 20), ":3: 'queue.capacity'");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[queue]\nmax_wait = '0s'"), ":3: 'queue.max_wait' must be more than 0");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[restart]\nbackoff = '3s'\nmax_backoff = '2s'"),
            ":4: 'restart.max_backoff' must not be less than restart.backoff");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[host]\nstart = '0s'"), ":3: 'host.start' must be more than 0");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[queue]\npriorities = 2\ndefault_priority = 3"),
            ":4: 'queue.default_priority' must be an integer from 1 to 2");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[batching]\nmax_batch = 0").substr(0, 24), ":3: 'batching.max_batch'");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[batching]\nmax_delay = '9s'"),
            ":3: 'batching.max_delay' must be less than queue.max_wait");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[sequences]\nmax_idle = '0s'"),
            ":3: 'sequences.max_idle' must be more than 0");
  EXPECT_EQ(refusal("skillset = 'scripted'\n[sequences]\ncapacity = 0").substr(0, 24), ":3: 'sequences.capacity'");
  EXPECT_EQ(refusal("skillset = 'scripted'\nweight = 0").substr(0, 12), ":2: 'weight'");
  EXPECT_EQ(refusal("skillset = 'scripted'\nalternatives = 'GPU'"),
            ":2: 'alternatives' must be an array of texts in quotes");
  EXPECT_EQ(refusal("skillset = 'nope'"), ":1: 'skillset' cannot be used: there is no skillset 'nope'");
  EXPECT_EQ(refusal("skillset = '../x'"), ":1: 'skillset' cannot be used: there is no skillset '../x'");
  EXPECT_EQ(refusal("skillset = ").substr(0, 3), ":1:");
}

TEST_F(model_folder_test, keeps_files_inside_the_folder_and_wants_their_hash) {
  for (const auto* entry : {"{ path = '/etc/passwd', sha256 = 'H' }", "{ path = '../x', sha256 = 'H' }",
                            "{ path = 'a/../../x', sha256 = 'H' }", "{ path = '', sha256 = 'H' }", "{ sha256 = 'H' }",
                            "{ path = 'x' }", "{ path = 'x', sha256 = 'abc' }", "'x'"}) {
    std::string text = std::string{"skillset = 'scripted'\n[files]\nweights = "} + entry;
    if (const auto at = text.find("'H'"); at != std::string::npos)
      text.replace(at + 1, 1, empty_sha256);
    EXPECT_EQ(refusal(text).substr(0, 20), ":3: 'files.weights' ") << entry;
  }
}

TEST_F(model_folder_test, reads_a_repository_in_order_and_says_when_there_is_none) {
  folder.write("repo/b/model.toml", "skillset = 'scripted'");
  folder.write("repo/a/model.toml", "skillset = 'scripted'");
  folder.write("repo/notes/readme.txt", "not a model");
  const auto models = read_model_repository(folder.path() / "repo", catalog);
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 2u);
  EXPECT_EQ(models->front().name, "a");
  EXPECT_EQ(read_model_repository(folder.path() / "none", catalog).error().code, status_code::not_found);
  folder.write("repo/a b/model.toml", "skillset = 'scripted'");
  EXPECT_EQ(read_model_repository(folder.path() / "repo", catalog).error().code, status_code::invalid_argument);
}

TEST_F(model_folder_test, verifies_files) {
  folder.write("m/w.bin", "");
  auto m = read(std::string{"skillset = 'scripted'\n[files]\nweights = { path = 'w.bin', sha256 = '"} + empty_sha256 +
                "' }");
  ASSERT_TRUE(m);
  EXPECT_TRUE(verify_files(*m, {}));
  cancel_scope scope;
  scope.cancel(make_error(status_code::cancelled, "enough"));
  folder.write("m/w.bin", "something else");
  EXPECT_EQ(verify_files(*m, scope.token()).error().cause, "enough");
  EXPECT_EQ(verify_files(*m, {}).error().code, status_code::data_loss);
  std::filesystem::remove(folder.path() / "m/w.bin");
  EXPECT_EQ(verify_files(*m, {}).error().code, status_code::not_found);
  EXPECT_EQ(sha256_of(folder.path()).error().code, status_code::not_found) << "a folder is no file";
}

TEST_F(model_folder_test, catalog_opens_shared_objects_once_and_says_why_it_can_not) {
  folder.write("skillsets/broken.so", "this is not a shared object");
  EXPECT_EQ(catalog.names(), "broken, scripted");
  const auto broken = catalog.find(*catalog.locate("broken"), isolation_kind::thread);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, status_code::invalid_argument);
}

}  // namespace
}  // namespace troupe
