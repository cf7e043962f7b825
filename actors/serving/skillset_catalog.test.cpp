#include "actors/serving/skillset_catalog.hpp"

#include "actors/serving/model_folder.hpp"
#include "actors/serving/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <stdexcept>
#include <thread>

namespace troupe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::scripted_skillset;
using found_devices = expected<std::vector<runtime_device>>;

/// What a catalog with one skillset says of the devices, where the skillset says `what`.
std::vector<runtime_device> devices_when(std::function<found_devices()> what) {
  auto skills = std::make_unique<scripted_skillset>();
  skills->on_devices = std::move(what);
  skillset_catalog catalog{{"/nowhere"}};
  catalog.add(std::move(skills));
  return catalog.devices();
}

TEST(skillset_catalog, tells_the_devices_that_its_skillsets_find) {
  const std::vector<runtime_device> two{{"Engine", "1", "CPU", "", {}}, {"Engine", "1", "GPU", "A Card", {"FP16"}}};
  EXPECT_EQ(devices_when([&] { return two; }), two);
}

TEST(skillset_catalog, a_skillset_that_cannot_tell_its_devices_has_none) {
  EXPECT_TRUE(devices_when([]() -> found_devices { return make_error(status_code::internal, "no driver"); }).empty());
  EXPECT_TRUE(devices_when([]() -> found_devices { throw std::runtime_error{"no driver"}; }).empty());
  EXPECT_TRUE(devices_when([]() -> found_devices { throw 1; }).empty());
}

/// Folders with plug-ins, of which each is the fixture, and a program for hosts that writes down when it is started.
struct catalog_test : testing::Test {
  catalog_test() {
    folder.write("host", "#!/bin/sh\necho \"$*\" >> '" + starts_file().string() +
                             "'\nwhile [ $# -gt 0 ] && [ \"$1\" != --exec ]; do shift; done\nshift\nexec \"$@\"\n");
    std::filesystem::permissions(folder.path() / "host", std::filesystem::perms::owner_all);
    catalog.add(std::make_unique<scripted_skillset>());
  }

  std::filesystem::path starts_file() const { return folder.path() / "starts"; }

  /// Writes a manifest of a program that behaves as `mode` says.
  void write_manifest(const std::filesystem::path& file, const std::string& mode) const {
    folder.write(file, "command = ['" TROUPE_HOST_FIXTURE "', \"" + mode + "\"]\n");
  }

  std::ptrdiff_t starts() const {
    std::ifstream lines{starts_file()};
    return std::count(std::istreambuf_iterator<char>{lines}, {}, '\n');
  }

  expected<std::shared_ptr<skillset>> find(const std::string& name,
                                           isolation_kind isolation = isolation_kind::process) {
    const auto what = catalog.locate(name);
    return what ? catalog.find(*what, isolation) : what.error();
  }

  skillset_listing only_listing(const std::string& name) {
    const auto all = catalog.list({});
    for (const auto& each : *all)
      if (each.file.name == name)
        return each;
    throw std::runtime_error{"no listing"};
  }

  expected<model_folder> read_model(const std::string& settings) {
    folder.write("m/model.toml", settings);
    return read_model_folder(folder.path() / "m", catalog);
  }

  testing_support::temporary_folder folder;
  skillset_catalog catalog{{folder.path() / "first", folder.path() / "second"}, folder.path() / "host"};
};

TEST_F(catalog_test, a_program_is_found_and_lives_in_processes_alone) {
  write_manifest("first/fixture.toml", "behaves");
  const auto found = find("fixture");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)->name(), "fixture");
  EXPECT_EQ((*found)->platform(), "test");
  EXPECT_EQ(find("fixture", isolation_kind::thread).error().code, status_code::invalid_argument);
  EXPECT_EQ(find("clairvoyance").error().code, status_code::not_found);
  EXPECT_EQ(find("../first/fixture").error().code, status_code::not_found);
}

TEST_F(catalog_test, a_models_program_needs_no_isolation_and_refuses_a_thread) {
  write_manifest("first/fixture.toml", "behaves");
  const auto model = read_model("skillset = 'fixture'");
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->isolation, isolation_kind::process);
  EXPECT_TRUE(read_model("skillset = 'fixture'\nisolation = 'process'"));
  const auto refused = read_model("skillset = 'fixture'\nisolation = 'thread'");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::invalid_argument);
  EXPECT_THAT(refused.error().cause, HasSubstr("model.toml:2: 'isolation' is 'thread'"));
  EXPECT_THAT(refused.error().cause, HasSubstr("is a program"));
}

TEST_F(catalog_test, one_host_is_asked_however_many_want_to_know) {
  write_manifest("first/fixture.toml", "behaves");
  std::vector<std::future<std::shared_ptr<skillset>>> finders;
  for (int i = 0; i != 8; ++i)
    finders.push_back(std::async(std::launch::async, [&] { return *find("fixture"); }));
  const auto first = finders.front().get();
  for (std::size_t i = 1; i != finders.size(); ++i)
    EXPECT_EQ(finders[i].get(), first);
  EXPECT_EQ(starts(), 1);
  EXPECT_EQ(only_listing("fixture").platform, "test");
  EXPECT_EQ(starts(), 1);
}

TEST_F(catalog_test, a_file_that_was_replaced_is_another_skillset) {
  write_manifest("first/fixture.toml", "behaves");
  const auto before = *find("fixture");
  write_manifest("first/new", "never loads");
  std::filesystem::rename(folder.path() / "first/new", folder.path() / "first/fixture.toml");
  const auto after = *find("fixture");
  EXPECT_NE(before, after);
  EXPECT_EQ(before->name(), "fixture") << "whoever has it can use it";
  EXPECT_EQ(starts(), 2);
}

TEST_F(catalog_test, what_is_added_or_taken_away_needs_no_restart) {
  EXPECT_EQ(catalog.names(), "scripted");
  write_manifest("second/fixture.toml", "behaves");
  EXPECT_EQ(catalog.names(), "fixture, scripted");
  EXPECT_TRUE(find("fixture"));
  std::filesystem::remove(folder.path() / "second/fixture.toml");
  EXPECT_EQ(find("fixture").error().code, status_code::not_found);
}

TEST_F(catalog_test, the_first_of_a_name_goes_before_the_others) {
  write_manifest("second/fixture.toml", "exits at once");
  write_manifest("first/fixture.toml", "behaves");
  folder.write("first/scripted.so", "not even a shared object");
  folder.write("second/readme.txt", "no skillset");
  const auto all = catalog.list({});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ((*all)[0].file.path, folder.path() / "first/fixture.toml");
  EXPECT_FALSE((*all)[0].shadowed_by || (*all)[0].refused);
  EXPECT_EQ((*all)[1].file.path, folder.path() / "second/fixture.toml");
  EXPECT_EQ((*all)[1].shadowed_by.value().path, folder.path() / "first/fixture.toml");
  EXPECT_FALSE((*all)[1].refused) << "nobody asked it";
  EXPECT_EQ((*all)[2].file.kind, skillset_kind::built_in);
  EXPECT_EQ((*all)[2].options.size(), 4u);
  EXPECT_EQ((*all)[3].shadowed_by.value().kind, skillset_kind::built_in);
  EXPECT_EQ(starts(), 1);
}

TEST_F(catalog_test, says_why_a_program_cannot_be_used) {
  const auto refusal = [&](const std::string& mode) {
    write_manifest("first/fixture.toml", mode);
    return find("fixture").error();
  };
  EXPECT_THAT(refusal("exits at once").cause, HasSubstr("ended with exit code 0"));
  EXPECT_THAT(refusal("exits at once").cause, HasSubstr("fixture: exits at once"));
  EXPECT_THAT(refusal("says garbage").cause, HasSubstr("which can't be one, and was killed"));
  EXPECT_EQ(refusal("speaks another contract").code, status_code::failed_precondition);
  folder.write("first/fixture.toml", "command = ['no-such-program']");
  EXPECT_THAT(find("fixture").error().cause, HasSubstr("fixture.toml:1: 'command' wants the program"));
  write_manifest("first/other.toml", "behaves");
  EXPECT_EQ(find("other").error().code, status_code::failed_precondition);
  EXPECT_THAT(find("other").error().cause, HasSubstr("other.toml' holds skillset 'fixture'"));
}

TEST_F(catalog_test, a_refusal_is_remembered_for_lists_until_a_model_tries_again) {
  // Fails once, and is well afterwards, without a change of the manifest.
  folder.write("first/twice", "#!/bin/sh\n[ -e '" + (folder.path() / "well").string() + "' ] || exit 9\nexec '" +
                                  TROUPE_HOST_FIXTURE + "' behaves\n");
  std::filesystem::permissions(folder.path() / "first/twice", std::filesystem::perms::owner_all);
  folder.write("first/fixture.toml", "command = ['./twice']\n");
  EXPECT_THAT(only_listing("fixture").refused.value().cause, HasSubstr("ended with exit code 9"));
  folder.write("well", "");
  EXPECT_TRUE(only_listing("fixture").refused);
  EXPECT_EQ(starts(), 1);
  EXPECT_TRUE(find("fixture"));
  EXPECT_EQ(starts(), 2);
  EXPECT_FALSE(only_listing("fixture").refused);
  EXPECT_EQ(starts(), 2);
}

TEST_F(catalog_test, a_host_that_takes_its_time_holds_nobody_else_up) {
  write_manifest("first/fixture.toml", "never says hello");
  cancel_scope scope;
  auto listing = std::async(std::launch::async, [&] { return catalog.list(scope.token()); });
  testing_support::await([&] { return starts() == 1; });
  EXPECT_EQ(catalog.names(), "fixture, scripted");
  EXPECT_TRUE(find("scripted", isolation_kind::thread));
  EXPECT_TRUE(catalog.devices().empty());
  scope.cancel(make_error(status_code::cancelled, "enough"));
  EXPECT_EQ(listing.get().error().cause, "enough");
  write_manifest("first/fixture.toml", "behaves");
  EXPECT_FALSE(only_listing("fixture").refused) << "what was given up is not remembered";
}

TEST_F(catalog_test, a_refused_skillset_is_the_business_of_its_models) {
  folder.write("first/broken.so", "this is not a shared object");
  const auto fatal = read_model("skillset = 'broken'");
  ASSERT_FALSE(fatal);
  EXPECT_THAT(fatal.error().cause, HasSubstr("model.toml: skillset 'broken' cannot be used"));
  EXPECT_EQ(fatal.error().code, find("broken", isolation_kind::thread).error().code);
  const auto model = read_model("skillset = 'broken'\non_failure = 'unavailable'\n[options]\nanything = 1");
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->skills->name(), "broken");
  const auto loaded = model->skills->load({}, {});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().cause, HasSubstr("skillset 'broken' cannot be used"));
  EXPECT_FALSE(read_model("skillset = 'clairvoyance'\non_failure = 'unavailable'")) << "that is a slip of the pen";
}

}  // namespace
}  // namespace troupe
