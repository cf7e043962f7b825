#include "skillsets/sdk/conformance/checks.hpp"

#include "skillsets/sdk/validate.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>

namespace troupe::conformance {
namespace {

std::string fault_of(const option_spec& option) {
  if (option.name.empty())
    return "an option has no name";
  const auto* text = std::get_if<std::string>(&option.fallback);
  if (std::holds_alternative<std::uint64_t>(option.fallback))
    return "option '" + option.name + "' has a type that model.toml can't write";
  if (!option.choices.empty() &&
      (!text || std::find(option.choices.begin(), option.choices.end(), *text) == option.choices.end()))
    return "the default of option '" + option.name + "' is none of its choices";
  const auto outside = [&](double value) {
    return (option.least != 0 || option.most != 0) && (value < option.least || value > option.most);
  };
  const auto* whole = std::get_if<std::int64_t>(&option.fallback);
  const auto* real = std::get_if<double>(&option.fallback);
  if ((whole && outside(static_cast<double>(*whole))) || (real && outside(*real)))
    return "the default of option '" + option.name + "' is out of its range";
  return "";
}

std::string fault_of(const std::vector<tensor_spec>& specs, const char* kind, bool batches) {
  std::set<std::string> names;
  for (const auto& spec : specs) {
    const auto name = std::string{kind} + " '" + spec.name + "'";
    if (spec.name.empty() || !names.insert(spec.name).second)
      return name + " has no name of its own";
    if (std::any_of(spec.shape.begin(), spec.shape.end(), [](auto extent) { return extent < -1; }))
      return name + " has an extent that can't be: " + shape_to_string(spec.shape);
    if (batches && !spec.any_rank && (spec.shape.empty() || spec.shape.front() != -1))
      return name + " of a model that batches needs a first axis of -1, and has " + shape_to_string(spec.shape);
  }
  return "";
}

/// A value at the edge of what an option allows.
std::vector<parameter> edges_of(const option_spec& option) {
  std::vector<parameter> edges;
  for (const auto& choice : option.choices)
    edges.emplace_back(choice);
  const bool bounded = option.least != 0 || option.most != 0;
  if (std::holds_alternative<bool>(option.fallback))
    edges = {parameter{true}, parameter{false}};
  else if (std::holds_alternative<std::int64_t>(option.fallback) && bounded)
    edges = {parameter{static_cast<std::int64_t>(option.least)}, parameter{static_cast<std::int64_t>(option.most)}};
  else if (std::holds_alternative<double>(option.fallback) && bounded)
    edges = {parameter{option.least}, parameter{option.most}};
  return edges;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// Files of its own for a model, gone again at the end.
class scratch {
 public:
  scratch() {
    auto name = (std::filesystem::temp_directory_path() / "troupe-conformance-XXXXXX").string();
    folder_ = mkdtemp(name.data()) ? name : "";
  }
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream{folder_ / name, std::ios::binary} << bytes;
    return folder_ / name;
  }

 private:
  std::filesystem::path folder_;
};

/// `bytes` broken in one of several ways.
std::string broken(std::string bytes, std::size_t how, std::mt19937_64& random) {
  switch (how) {
    case 0:
      return "";
    case 1:
      return bytes.substr(0, bytes.size() / 2);
    case 2:
      return "no model, but a sentence";
    default:
      for (int flips = 0; flips != 16 && !bytes.empty(); ++flips)
        bytes[random() % std::min<std::size_t>(bytes.size(), 4096)] ^= static_cast<char>(1u << random() % 8);
      return bytes;
  }
}

}  // namespace

finding describes_itself(subject& whom) {
  auto& skills = whom.skills();
  if (skills.name().empty() || skills.platform().empty())
    return failed("the skillset has no name, or no platform");
  std::set<std::string> names;
  for (const auto& option : skills.options()) {
    if (auto fault = fault_of(option); !fault.empty())
      return failed(std::move(fault));
    if (!names.insert(option.name).second)
      return failed("option '" + option.name + "' is there twice");
  }
  if (const auto devices = skills.devices(); !devices)
    return failed("devices: " + devices.error().message());
  return passed();
}

finding loads_and_warms_up(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return failed(worker.error().message());
  const auto& what = whom.model().describe();
  for (const auto& [specs, kind] : {std::pair{&what.inputs, "input"}, std::pair{&what.outputs, "output"}})
    if (auto fault = fault_of(*specs, kind, what.batches); !fault.empty())
      return failed(std::move(fault));
  auto inputs = whom.model().warm_up().inputs;
  const auto most = std::numeric_limits<std::int64_t>::max();
  if (const auto fits = validate_inputs(inputs, what, most); !fits)
    return failed("the warm-up request is not what the signature says: " + fits.error().message());
  if (const auto limits = whom.model().batching().limits;
      limits.items < 1 || limits.units < 1 || limits.padding_part < 1)
    return failed("a batch can't have less than one item, one unit, or a padding_part of less than 1");
  const auto metrics = whom.model().metrics();
  if (const auto valid = validate_metrics(metrics); !valid)
    return failed(valid.error().message());
  std::vector<double> measured(metrics.size(), std::numeric_limits<double>::quiet_NaN());
  (*worker)->measure(measured);
  for (std::size_t i = 0; i != metrics.size(); ++i)
    if (!std::isfinite(measured[i]))
      return failed("metric '" + metrics[i].name + "' has no value");
  return passed();
}

finding takes_its_options(subject& whom) {
  std::size_t tried = 0, refused = 0;
  for (const auto& option : whom.skills().options())
    for (const auto& value : edges_of(option)) {
      auto settings = whom.settings();
      settings.options[option.name] = value;
      ++tried;
      const auto loaded = whom.load(settings);
      if (loaded)
        continue;
      ++refused;
      if (loaded.error().code == status_code::internal)
        return failed("option '" + option.name + "' at the edge of its range: " + loaded.error().message());
    }
  if (tried == 0)
    return skipped("there is no option with a range");
  return passed(std::to_string(tried) + " values, " + std::to_string(refused) + " refused with a reason");
}

finding refuses_broken_files(subject& whom) {
  if (whom.settings().files.empty())
    return skipped("the model has no files");
  const scratch files;
  std::size_t tried = 0, loaded = 0;
  for (const auto& [role, path] : whom.settings().files)
    for (std::size_t how = 0; how != 5; ++how) {
      auto settings = whom.settings();
      settings.files[role] = how == 4 ? files.write("missing", "").parent_path() / "not there"
                                      : files.write(path.filename().string(), broken(read(path), how, whom.random()));
      ++tried;
      auto model = whom.load(settings);
      if (model) {
        // A flipped bit of a weight is a weight like another.
        if (how != 3)
          return failed("it loads although its " + role + " is not what it should be");
        ++loaded;
      } else if (model.error().cause.empty()) {
        return failed("a broken " + role + " is refused without a reason");
      }
    }
  return passed(std::to_string(tried - loaded) + " of " + std::to_string(tried) + " refused");
}

}  // namespace troupe::conformance
