#pragma once

#include "actors/serving/hosts/host_connection.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe {

/// A skillset that lives in host processes: one for each instance of a model, which may die without anything else. To
/// everybody who uses it, it is a skillset like others.
class hosted_skillset final : public skillset {
 public:
  /// Starts a host once, to hear what the skillset is.
  static expected<std::unique_ptr<hosted_skillset>> open(host_command command, const std::string& name,
                                                         const cancel_token& token);

  std::string_view name() const override { return name_; }
  std::string_view platform() const override { return platform_; }
  std::string_view version() const override { return version_; }
  std::vector<option_spec> options() const override { return options_; }

  /// Loads the model in the first of its hosts, where an instance of it has answered its warm-up request then. A host
  /// that dies of it is UNAVAILABLE with how. Instances are made until `token` is cancelled.
  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) override;

  expected<std::vector<runtime_device>> devices() override { return devices_; }

  /// Whether loading the model is survived: has a host do it, which is ended again. What `load` says, where the host
  /// that dies of it is said to do so of the model's files.
  expected<void> try_load(const model_settings& settings, const cancel_token& token);

 private:
  explicit hosted_skillset(host_command command) : command_(std::move(command)) {}

  const host_command command_;
  std::string name_;
  std::string platform_;
  std::string version_;
  std::vector<option_spec> options_;
  std::vector<runtime_device> devices_;
};

}  // namespace troupe
