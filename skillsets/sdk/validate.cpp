#include "skillsets/sdk/validate.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace troupe {
namespace {

std::string names_of(const std::vector<tensor_spec>& specs) {
  std::string text;
  for (const auto& spec : specs)
    text += (text.empty() ? "'" : ", '") + spec.name + "'";
  return text;
}

error wrong(const tensor& input, const std::string& what, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, "input '" + input.name + "' " + what, std::move(remedy));
}

bool fits(const std::vector<std::int64_t>& shape, const tensor_spec& spec) {
  if (spec.any_rank)
    return true;
  return std::equal(shape.begin(), shape.end(), spec.shape.begin(), spec.shape.end(),
                    [](std::int64_t has, std::int64_t wants) { return wants == -1 || has == wants; });
}

/// Whether the data is exactly what datatype and shape say.
expected<void> check_bytes(const tensor& value, std::int64_t count) {
  if (value.type == datatype::bytes) {
    const auto elements = split_bytes(value.data.view(), count);
    return elements ? expected<void>{}
                    : make_error(status_code::invalid_argument, "is malformed: " + elements.error().cause,
                                 elements.error().remedy);
  }
  std::int64_t bytes = 0;
  const auto size = static_cast<std::int64_t>(element_size(value.type));
  if (__builtin_mul_overflow(count, size, &bytes) || static_cast<std::uint64_t>(bytes) != value.data.size())
    return make_error(status_code::invalid_argument, "of shape " + shape_to_string(value.shape) + " and datatype " +
                                                         std::string{to_string(value.type)} + " needs " +
                                                         std::to_string(count) + " x " + std::to_string(size) +
                                                         " bytes, but has " + std::to_string(value.data.size()));
  return {};
}

expected<void> check(const tensor& input, const tensor_spec& spec) {
  if (spec.type != datatype::any && input.type != spec.type)
    return wrong(input, "has datatype " + std::string{to_string(input.type)},
                 "the model takes " + std::string{to_string(spec.type)});
  const auto count = element_count(input.shape);
  if (!count)
    return wrong(input, "has an impossible shape: " + count.error().cause);
  if (!fits(input.shape, spec))
    return wrong(input, "has shape " + shape_to_string(input.shape),
                 "the model takes " + shape_to_string(spec.shape) + ", where -1 is any extent");
  if (const auto right = check_bytes(input, *count); !right)
    return wrong(input, right.error().cause, right.error().remedy);
  return {};
}

expected<void> check_output(const tensor& output, const tensor_spec& spec) {
  const auto bad = [&](const std::string& what) {
    return make_error(status_code::internal, "the skillset gave output '" + output.name + "', which " + what);
  };
  if (output.name != spec.name)
    return bad("stands where '" + spec.name + "' should");
  if (spec.type != datatype::any && output.type != spec.type)
    return bad("has datatype " + std::string{to_string(output.type)} + " and not " + std::string{to_string(spec.type)});
  const auto count = element_count(output.shape);
  if (!count)
    return bad("has an impossible shape: " + count.error().cause);
  if (!fits(output.shape, spec))
    return bad("has shape " + shape_to_string(output.shape) + " and not " + shape_to_string(spec.shape));
  if (const auto right = check_bytes(output, *count); !right)
    return bad(right.error().cause);
  return {};
}

bool is_metric_name(std::string_view name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.size() <= 64 && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(), fits);
}

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

/// Puts the inputs into the signature's order, or says which is missing, unknown or there twice.
expected<void> arrange(std::vector<tensor>& inputs, const std::vector<tensor_spec>& specs) {
  for (std::size_t i = 0; i != specs.size(); ++i) {
    const auto named = [&](const tensor& input) { return input.name == specs[i].name; };
    const auto rest = inputs.begin() + static_cast<std::ptrdiff_t>(std::min(i, inputs.size()));
    const auto found = std::find_if(rest, inputs.end(), named);
    if (found == inputs.end())
      return make_error(status_code::invalid_argument, "input '" + specs[i].name + "' is missing",
                        "the model takes " + names_of(specs));
    std::iter_swap(rest, found);
  }
  if (inputs.size() > specs.size()) {
    const auto& extra = inputs[specs.size()];
    const bool twice = std::any_of(specs.begin(), specs.end(), [&](const auto& s) { return s.name == extra.name; });
    return wrong(extra, twice ? "is there twice" : "is not known", "the model takes " + names_of(specs));
  }
  return {};
}

expected<void> check_items(const std::vector<tensor>& inputs, std::int64_t most_items) {
  for (const auto& input : inputs) {
    if (input.shape.empty())
      return wrong(input, "has no axis to count items along");
    if (input.shape.front() != inputs.front().shape.front())
      return wrong(input, "has " + std::to_string(input.shape.front()) + " items where input '" + inputs.front().name +
                              "' has " + std::to_string(inputs.front().shape.front()));
    if (input.shape.front() > most_items)
      return make_error(status_code::resource_exhausted,
                        "input '" + input.name + "' has " + std::to_string(input.shape.front()) +
                            " items, more than the " + std::to_string(most_items) + " that the model allows a request",
                        "send them in several requests, or raise limits.items in model.toml");
  }
  return {};
}

}  // namespace

expected<void> validate_inputs(std::vector<tensor>& inputs, const signature& expected_signature,
                               std::int64_t most_items) {
  const auto& specs = expected_signature.inputs;
  if (const auto arranged = arrange(inputs, specs); !arranged)
    return arranged.error();
  // Before the bytes are looked at: a request that is far too large must be cheap to refuse.
  if (expected_signature.batches)
    if (const auto allowed = check_items(inputs, most_items); !allowed)
      return allowed.error();
  for (std::size_t i = 0; i != specs.size(); ++i)
    if (const auto checked = check(inputs[i], specs[i]); !checked)
      return checked.error();
  return {};
}

expected<void> validate_outputs(const std::vector<tensor>& outputs, const signature& expected_signature) {
  const auto& specs = expected_signature.outputs;
  if (outputs.size() != specs.size())
    return make_error(status_code::internal, "the skillset gave " + std::to_string(outputs.size()) + " outputs, not " +
                                                 std::to_string(specs.size()));
  for (std::size_t i = 0; i != specs.size(); ++i)
    if (const auto right = check_output(outputs[i], specs[i]); !right)
      return right.error();
  return {};
}

expected<void> validate_metrics(const std::vector<metric_spec>& metrics) {
  const auto bad = [](const std::string& what) {
    return make_error(status_code::internal, "the skillset's metrics are wrong: " + what);
  };
  if (metrics.size() > most_metrics)
    return bad("there are " + std::to_string(metrics.size()) + ", and " + std::to_string(most_metrics) + " at most");
  std::set<std::string_view> names;
  for (const auto& [name, help, kind] : metrics) {
    static_cast<void>(kind);
    if (!is_metric_name(name))
      return bad("'" + name.substr(0, 64) + "' is no name of up to 64 of a-z, 0-9 and _");
    if (help.empty() || help.size() > 256 || !std::all_of(help.begin(), help.end(), is_printable))
      return bad("what '" + name + "' is has to be said in 1 to 256 printable characters of ASCII");
    if (!names.insert(name).second)
      return bad("'" + name + "' is there twice");
  }
  return {};
}

}  // namespace troupe
