#include "actors/gateway/grpc/model_config.hpp"

#include "actors/serving/served_model.hpp"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <toml++/toml.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

namespace troupe {
namespace {

/// Triton's TYPE_… of a datatype; TYPE_INVALID for `any`, which Triton has no word for.
inference::DataType config_type(datatype type) {
  const auto name = "TYPE_" + (type == datatype::bytes ? "STRING" : std::string{to_string(type)});
  inference::DataType value = inference::TYPE_INVALID;
  inference::DataType_Parse(name, &value);
  return value;
}

template <class Config>
void describe_tensor(const tensor_spec& spec, bool batches, Config& to) {
  to.set_name(spec.name);
  to.set_data_type(config_type(spec.type));
  // Triton leaves the batch axis out of the dimensions.
  for (std::size_t i = batches ? 1 : 0; i < spec.shape.size(); ++i)
    to.add_dims(spec.shape[i]);
  if (spec.any_rank || to.dims_size() == 0)
    to.add_dims(spec.any_rank ? -1 : 1);
}

/// How requests wait and are put together, in Triton's words.
void describe_batching(const served_model& model, inference::ModelConfig& config) {
  const auto& queue = model.folder().queue;
  const auto& limits = model.calls().options().batch;
  auto& batching = *config.mutable_dynamic_batching();
  batching.set_max_queue_delay_microseconds(static_cast<std::uint64_t>(model.folder().batching.max_delay.count()));
  batching.set_priority_levels(queue.priorities);
  batching.set_default_priority_level(queue.default_priority);
  auto& policy = *batching.mutable_default_queue_policy();
  policy.set_timeout_action(inference::ModelQueuePolicy::REJECT);
  policy.set_default_timeout_microseconds(static_cast<std::uint64_t>(queue.max_wait.count()));
  policy.set_allow_timeout_override(true);
  policy.set_max_queue_size(static_cast<std::uint32_t>(queue.capacity));
  if (limits.items > 1)
    batching.add_preferred_batch_size(static_cast<std::int32_t>(limits.items));
}

/// The same for a stateful model, where Triton has other words for it.
void describe_sequences(const served_model& model, inference::ModelConfig& config) {
  const auto& sequences = model.folder().sequences;
  auto& batching = *config.mutable_sequence_batching();
  batching.set_max_sequence_idle_microseconds(static_cast<std::uint64_t>(sequences.max_idle.count()));
  auto& strategy = *batching.mutable_oldest();
  strategy.set_max_candidate_sequences(static_cast<std::int32_t>(sequences.capacity));
  strategy.set_max_queue_delay_microseconds(static_cast<std::uint64_t>(model.folder().batching.max_delay.count()));
  if (const auto items = model.calls().options().batch.items; items > 1)
    strategy.add_preferred_batch_size(static_cast<std::int32_t>(items));
}

/// What is known of a model once it was loaded.
void describe_loaded(const served_model& model, const signature& what, inference::ModelConfig& config) {
  config.set_max_batch_size(what.batches ? static_cast<std::int32_t>(model.folder().limits.items) : 0);
  if (what.stateful)
    describe_sequences(model, config);
  else
    describe_batching(model, config);
  config.mutable_model_transaction_policy()->set_decoupled(what.decoupled);
  for (const auto& spec : what.inputs)
    describe_tensor(spec, what.batches, *config.add_input());
  for (const auto& spec : what.outputs)
    describe_tensor(spec, what.batches, *config.add_output());
}

error unusable(const std::string& what, const std::string& remedy) {
  return make_error(status_code::invalid_argument, "config: " + what, remedy);
}

/// Takes out of a configuration, field by field, what a load may change, and makes settings of it.
class config_reader {
 public:
  config_reader(inference::ModelConfig& config, const served_model* current) : config_(config), current_(current) {}

  expected<toml::table> read() {
    read_batch_size();
    read_instances();
    if (config_.has_dynamic_batching())
      read_batching(*config_.mutable_dynamic_batching());
    for (const auto& [name, value] : config_.parameters())
      read_option(name, value.string_value());
    config_.clear_parameters();
    if (failure_)
      return *failure_;
    return settings_;
  }

 private:
  void fail(const std::string& what, const std::string& remedy) {
    if (!failure_)
      failure_ = unusable(what, remedy);
  }

  toml::table& table(std::string_view name) { return *settings_.insert(name, toml::table{}).first->second.as_table(); }

  void read_batch_size() {
    if (config_.max_batch_size() > 0)
      table("limits").insert_or_assign("items", std::int64_t{config_.max_batch_size()});
    config_.clear_max_batch_size();
  }

  void read_instances() {
    if (config_.instance_group_size() > 1)
      fail("there is more than one instance_group", "put all instances into one");
    if (config_.instance_group_size() != 1)
      return;
    if (const auto count = config_.instance_group(0).count(); count > 0)
      settings_.insert_or_assign("instances", std::int64_t{count});
    config_.mutable_instance_group(0)->clear_count();
  }

  void read_batching(inference::ModelDynamicBatching& from) {
    read_duration("batching", "max_delay", from.max_queue_delay_microseconds());
    std::int64_t most = 0;
    for (const auto size : from.preferred_batch_size())
      most = std::max<std::int64_t>(most, size);
    read_number("batching", "max_batch", static_cast<std::uint64_t>(most));
    read_number("queue", "priorities", from.priority_levels());
    read_number("queue", "default_priority", from.default_priority_level());
    auto& policy = *from.mutable_default_queue_policy();
    read_duration("queue", "max_wait", policy.default_timeout_microseconds());
    read_number("queue", "capacity", policy.max_queue_size());
    policy.clear_default_timeout_microseconds();
    policy.clear_max_queue_size();
    from.clear_preferred_batch_size();
    from.clear_max_queue_delay_microseconds();
    from.clear_priority_levels();
    from.clear_default_priority_level();
  }

  /// Numbers of 0 are those that aren't there.
  void read_number(std::string_view where, std::string_view key, std::uint64_t number) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (number > 0)
      table(where).insert_or_assign(key, static_cast<std::int64_t>(std::min(number, most)));
  }

  void read_duration(std::string_view where, std::string_view key, std::uint64_t microseconds) {
    if (microseconds > 0)
      table(where).insert_or_assign(key, std::to_string(microseconds) + "us");
  }

  /// A parameter is a text, and what it stands for depends on the model's option of this name.
  void read_option(const std::string& name, const std::string& text) {
    const auto options = current_ ? current_->folder().options : parameter_map{};
    const auto option = options.find(name);
    if (option == options.end())
      return fail("the model has no option '" + name + "' for this parameter", "leave it out, or correct its name");
    if (std::holds_alternative<std::string>(option->second))
      table("options").insert_or_assign(name, text);
    else if (!insert_literal(table("options"), name, text))
      fail("parameter '" + name + "' is '" + text + "'", "write a number, true or false, as the option is");
  }

  /// Of a number, true or false as TOML has them.
  static bool insert_literal(toml::table& to, const std::string& key, const std::string& text) {
    try {
      const auto parsed = toml::parse("value = " + text);
      const auto* value = parsed.size() == 1 ? parsed.get("value") : nullptr;
      if (!value || !(value->is_number() || value->is_boolean()))
        return false;
      to.insert_or_assign(key, *value);
      return true;
    } catch (const toml::parse_error&) {
      return false;
    }
  }

  inference::ModelConfig& config_;
  const served_model* current_;
  toml::table settings_;
  std::optional<error> failure_;
};

/// What is left of a configuration must be as it is.
expected<void> check_unchanged(const inference::ModelConfig& left, const served_model* current) {
  inference::ModelConfig now;
  if (current)
    describe_config(*current, now);
  using google::protobuf::util::MessageDifferencer;
  MessageDifferencer compare;
  compare.set_scope(MessageDifferencer::PARTIAL);
  std::string differences;
  compare.ReportDifferencesToString(&differences);
  if (compare.Compare(left, now))
    return {};
  return unusable("can't be had: " + differences.substr(0, differences.find('\n')),
                  "change what ModelConfig tells, and of that the scheduling, max_batch_size, the count of the "
                  "instance_group, and parameters; or use 'settings' with what a model.toml may have");
}

expected<std::string> settings_of_config(const std::string& json, const served_model* current) {
  inference::ModelConfig config;
  if (const auto parsed = google::protobuf::util::JsonStringToMessage(json, &config); !parsed.ok())
    return unusable("is no ModelConfig in JSON: " + std::string{parsed.message()}, "see model_config.proto");
  const auto settings = config_reader{config, current}.read();
  if (!settings)
    return settings.error();
  if (const auto same = check_unchanged(config, current); !same)
    return same.error();
  std::ostringstream text;
  text << *settings;
  return text.str();
}

}  // namespace

void describe_config(const served_model& model, inference::ModelConfig& config) {
  const auto& folder = model.folder();
  config.set_name(folder.name);
  config.set_backend(std::string{folder.skills->name()});
  config.set_platform(std::string{folder.skills->platform()});
  config.mutable_version_policy()->mutable_latest()->set_num_versions(1);
  auto& group = *config.add_instance_group();
  group.set_name(folder.name);
  // What is not the processor is the runtime's to name, and Triton's KIND_GPU are CUDA's.
  group.set_kind(folder.device == "CPU" ? inference::ModelInstanceGroup::KIND_CPU
                                        : inference::ModelInstanceGroup::KIND_MODEL);
  group.set_count(static_cast<std::int32_t>(folder.instances));
  if (const auto* what = model.describe())
    describe_loaded(model, *what, config);
}

expected<std::string> settings_of(const inference::RepositoryModelLoadRequest& request, const served_model* current) {
  std::optional<std::string> config, settings;
  for (const auto& [name, value] : request.parameters()) {
    if (name != "config" && name != "settings")
      return make_error(status_code::unimplemented, "parameter '" + name + "' of a load is not implemented",
                        "put the model's files into its folder");
    if (value.parameter_choice_case() != inference::ModelRepositoryParameter::kStringParam)
      return make_error(status_code::invalid_argument, "parameter '" + name + "' is not a string");
    (name == "config" ? config : settings) = value.string_param();
  }
  if (config && settings)
    return make_error(status_code::invalid_argument, "a load has both a 'config' and 'settings'", "leave one out");
  return config ? settings_of_config(*config, current) : settings.value_or("");
}

}  // namespace troupe
