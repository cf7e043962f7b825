#pragma once

#include "actors/serving/inference_call.hpp"
#include "actors/serving/model_folder.hpp"
#include "actors/serving/served_model.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

/// What the tests of this room share: a call that remembers its answer, a skillset that does what the test says, and a
/// folder that goes away again.
namespace troupe::testing_support {

/// A call whose answer can be waited for.
class recorded_call final : public inference_call {
 public:
  using inference_call::inference_call;

  void send(inference_response response) override { sent.push_back(std::move(response)); }
  void complete() override { respond(inference_response{}); }
  void respond(expected<inference_response> answer) override {
    ++answers;
    if (answered_.exchange(true))
      return;
    if (answer)
      commit();
    promise_.set_value(std::move(answer));
  }

  expected<inference_response> wait() { return promise_.get_future().get(); }
  bool answered() const { return answered_; }

  std::atomic<int> answers = 0;
  std::vector<inference_response> sent;

 private:
  std::atomic<bool> answered_ = false;
  std::promise<expected<inference_response>> promise_;
};

using work = std::function<expected<inference_response>(const inference_request&, const cancel_token&)>;

/// An instance that does what it is told; `immediate` says whether at once on the thread that brings the call.
class scripted_instance final : public single_instance {
 public:
  explicit scripted_instance(work what, bool immediate = false) : what_(std::move(what)), immediate_(immediate) {}

  expected<inference_response> run(const inference_request& request, const cancel_token& token) override {
    return what_(request, token);
  }

  bool immediate(const inference_request&) const noexcept override { return immediate_; }

 private:
  work what_;
  bool immediate_;
};

/// An instance that does with a whole batch what it is told.
class scripted_batch_instance final : public instance {
 public:
  using batch_work = std::function<expected<void>(std::span<work_item* const>, const cancel_token&)>;

  explicit scripted_batch_instance(batch_work what) : what_(std::move(what)) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    return what_(batch, token);
  }

 private:
  batch_work what_;
};

/// A skillset whose loading, instances and work are functions of the test.
class scripted_skillset final : public skillset {
 public:
  std::string_view name() const override { return title; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override {
    return {{"flag", true, {}},
            {"count", std::int64_t{3}, {}, 1, 10},
            {"ratio", 0.5, {}, 0, 1},
            {"mode", std::string{"fast"}, {"fast", "slow"}}};
  }

  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) override {
    last = settings;
    if (const auto failure = on_load(token))
      return *failure;
    return std::unique_ptr<loaded_model>{std::make_unique<model>(*this)};
  }

  expected<std::vector<runtime_device>> devices() override { return on_devices(); }

  std::string title = "scripted";
  std::function<expected<std::vector<runtime_device>>()> on_devices = [] { return std::vector<runtime_device>{}; };
  std::function<std::optional<error>(const cancel_token&)> on_load = [](const auto&) { return std::nullopt; };
  work on_run = [](const auto&, const auto&) { return inference_response{}; };
  model_settings last;

 private:
  class model final : public loaded_model {
   public:
    explicit model(scripted_skillset& owner) : owner_(owner) {}
    const signature& describe() const override { return signature_; }
    expected<std::unique_ptr<instance>> make_instance() override {
      return std::unique_ptr<instance>{
          std::make_unique<scripted_instance>([this](const auto& r, const auto& t) { return owner_.on_run(r, t); })};
    }
    inference_request warm_up() const override { return {{}, {{"warm_up", true}}}; }

   private:
    scripted_skillset& owner_;
    signature signature_;
  };
};

/// A skillset of the test's, which it outlives.
inline std::shared_ptr<skillset> borrowed(skillset& skills) {
  return {std::shared_ptr<void>{}, &skills};
}

/// Makes a model ready as its actor does.
inline void make_ready(served_model& model, signature what = {}, batch_policy how = {},
                       std::vector<metric_spec> metrics = {}) {
  if (!model.describe())
    model.set_described(std::move(what), std::move(how), std::numeric_limits<std::size_t>::max(), std::move(metrics));
  model.set_ready();
}

/// A folder under the tests' temporary one, removed with its contents.
class temporary_folder {
 public:
  temporary_folder() {
    auto name = (std::filesystem::temp_directory_path() / "troupe-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~temporary_folder() { std::filesystem::remove_all(path_); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void write(const std::filesystem::path& file, std::string_view text) const {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream{path_ / file} << text;
  }

 private:
  std::filesystem::path path_;
};

/// The processes that this one has started, on whichever thread.
inline std::vector<pid_t> children() {
  std::vector<pid_t> found;
  for (const auto& task : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream of_task{task.path() / "children"};
    for (pid_t child; of_task >> child;)
      found.push_back(child);
  }
  return found;
}

/// Waits until `condition` holds; the test's own time limit bounds it.
template <class Condition>
void await(Condition condition) {
  while (!condition())
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

}  // namespace troupe::testing_support
