#include "actors/serving/hosts/hosted_skillset.hpp"

#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/validate.hpp"

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

class hosted_instance final : public instance {
 public:
  hosted_instance(std::unique_ptr<host_connection> host, const signature& what)
      : host_(std::move(host)), signature_(what) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    return host_->run(batch, signature_, token);
  }
  void measure(std::span<double> values) const noexcept override { host_->measure(values); }
  bool usable() const noexcept override { return host_->usable(); }
  void watch(std::function<void(error)> on_broken) override { host_->watch(std::move(on_broken)); }

 private:
  const std::unique_ptr<host_connection> host_;
  const signature& signature_;  // its model's, which outlives it
};

class hosted_continuous_instance final : public continuous_instance {
 public:
  hosted_continuous_instance(std::unique_ptr<host_connection> host, const signature& what, std::size_t capacity)
      : host_(std::move(host)), signature_(what), capacity_(capacity) {}

  std::size_t capacity() const noexcept override { return capacity_; }
  expected<void> admit(work_item& item) override { return host_->admit(item); }
  expected<void> step() override { return host_->step(signature_); }
  void evict(work_item& item) noexcept override { host_->evict(item); }
  void interrupt() noexcept override { host_->interrupt(); }
  void measure(std::span<double> values) const noexcept override { host_->measure(values); }
  bool usable() const noexcept override { return host_->usable(); }
  void watch(std::function<void(error)> on_broken) override { host_->watch(std::move(on_broken)); }

 private:
  const std::unique_ptr<host_connection> host_;
  const signature& signature_;  // its model's, which outlives it
  const std::size_t capacity_;
};

/// What a host says of a model, in the words of the contract.
struct model_description {
  signature what;
  inference_request warm_up;
  batch_policy batching;
  std::size_t capacity;  ///< of a continuous model; 0: it works on batches
  std::vector<metric_spec> metrics;
};

expected<model_description> describe(const host::v1::Loaded& loaded) {
  auto what = host::from_wire(loaded.signature());
  if (!what)
    return what.error();
  const auto owner = std::make_shared<const host::v1::Request>(loaded.warm_up());
  auto warm_up = host::from_wire(*owner, owner);
  if (!warm_up)
    return warm_up.error();
  auto metrics = host::metrics_of(loaded);
  if (const auto valid = validate_metrics(metrics); !valid)
    return valid.error();
  return model_description{*std::move(what), *std::move(warm_up), host::batching_of(loaded), loaded.capacity(),
                           std::move(metrics)};
}

/// The command that starts a host within its bounds. They go first: what follows `--exec` is another program's.
host_command within(host_command command, const host_settings& bounds) {
  std::vector<std::string> first;
  if (bounds.memory_mib > 0)
    first.push_back("--memory-mib=" + std::to_string(bounds.memory_mib));
  if (bounds.open_files > 0)
    first.push_back("--open-files=" + std::to_string(bounds.open_files));
  if (bounds.network)
    first.emplace_back("--network");
  command.arguments.insert(command.arguments.begin(), first.begin(), first.end());
  return command;
}

expected<std::unique_ptr<host_connection>> start(const host_command& command, const model_settings& settings,
                                                 const cancel_token& token) {
  const auto& bounds = settings.host;
  return host_connection::start(within(command, bounds), settings.name,
                                {.hello = std::min(host_connection::patience{}.hello, bounds.start),
                                 .load = bounds.start,
                                 .silence = bounds.silence,
                                 .cancel = bounds.cancel_grace},
                                token);
}

class hosted_model final : public loaded_model {
 public:
  hosted_model(host_command command, model_settings settings, cancel_token token, model_description description,
               std::unique_ptr<host_connection> first)
      : command_(std::move(command)),
        settings_(std::move(settings)),
        token_(std::move(token)),
        description_(std::move(description)),
        first_(std::move(first)) {}

  const signature& describe() const override { return description_.what; }
  inference_request warm_up() const override { return description_.warm_up; }
  batch_policy batching() const override { return description_.batching; }
  std::vector<metric_spec> metrics() const override { return description_.metrics; }

  expected<std::unique_ptr<instance>> make_instance() override {
    auto host = take_first();
    if (!host) {
      auto started = start_host(command_, settings_, token_);
      if (!started)
        return started.error();
      host = std::move(started->first);
    }
    if (description_.capacity > 0)
      return std::unique_ptr<instance>{
          std::make_unique<hosted_continuous_instance>(std::move(host), description_.what, description_.capacity)};
    return std::unique_ptr<instance>{std::make_unique<hosted_instance>(std::move(host), description_.what)};
  }

  /// A host that has loaded the model, and what it says of it.
  static expected<std::pair<std::unique_ptr<host_connection>, model_description>> start_host(
      const host_command& command, const model_settings& settings, const cancel_token& token) {
    auto host = start(command, settings, token);
    if (!host)
      return host.error();
    const auto loaded = (*host)->load(settings, token);
    if (!loaded)
      return loaded.error();
    auto description = troupe::describe(*loaded);
    if (!description)
      return description.error();
    return std::pair{*std::move(host), *std::move(description)};
  }

 private:
  /// The host that the model was loaded in first, if it is there still and has no instance yet.
  std::unique_ptr<host_connection> take_first() {
    const std::lock_guard lock{mutex_};
    auto first = std::move(first_);
    return first && first->usable() ? std::move(first) : nullptr;
  }

  const host_command command_;
  const model_settings settings_;
  const cancel_token token_;
  const model_description description_;
  std::mutex mutex_;
  std::unique_ptr<host_connection> first_;  // guarded by mutex_
};

}  // namespace

expected<std::unique_ptr<hosted_skillset>> hosted_skillset::open(host_command command, const std::string& name,
                                                                 const cancel_token& token) {
  const auto host = host_connection::start(command, name, {}, token);
  if (!host)
    return host.error();
  const auto& hello = (*host)->hello();
  std::unique_ptr<hosted_skillset> made{new hosted_skillset{std::move(command)}};
  made->name_ = hello.name();
  made->platform_ = hello.platform();
  made->version_ = hello.version();
  for (const auto& each : hello.options()) {
    auto option = host::from_wire(each);
    if (!option)
      return option.error();
    made->options_.push_back(*std::move(option));
  }
  for (const auto& device : hello.devices())
    made->devices_.push_back(host::from_wire(device));
  return made;
}

expected<std::unique_ptr<loaded_model>> hosted_skillset::load(const model_settings& settings,
                                                              const cancel_token& token) {
  auto host = hosted_model::start_host(command_, settings, token);
  if (!host)
    return host.error();
  return std::unique_ptr<loaded_model>{
      std::make_unique<hosted_model>(command_, settings, token, std::move(host->second), std::move(host->first))};
}

expected<void> hosted_skillset::try_load(const model_settings& settings, const cancel_token& token) {
  const auto host = start(command_, settings, token);
  if (!host)
    return host.error();
  const auto loaded = (*host)->load(settings, token);
  if (loaded)
    return {};
  auto why = loaded.error();
  if (!(*host)->usable() && !token.cancelled()) {
    why.cause = "the model's files crash skillset '" + name_ + "': " + why.cause;
    why.remedy = "check where the files come from, or set isolation = \"process\"; see the node's log";
  }
  return why;
}

}  // namespace troupe
