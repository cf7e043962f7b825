#include "apps/troupe/tune.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/closed_loop.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/infer.hpp"
#include "apps/troupe/interrupt.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/private_node.hpp"
#include "apps/troupe/session.hpp"
#include "apps/troupe/toml_edit.hpp"
#include "inference/grpc_service.pb.h"
#include "troupe/node/v1/node.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace troupe::cli {
namespace {

namespace wire = inference;
using json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr double as_good_as = 1.03;
constexpr double shorter_wait = 0.9;
constexpr std::int64_t most_batch_tried = 64;
constexpr const char* sample_text = "The actors take a bow, and the audience rises from its seats to applaud them.";

struct measurement {
  tuning with;
  loop_result load;
  double cpu_ms = 0;  ///< of the node and its hosts, a request
};

double throughput(const measurement& of) {
  return static_cast<double>(of.load.requests) / of.load.seconds;
}

std::vector<std::pair<std::string, std::string>> settings_of(const tuning& with) {
  std::vector<std::pair<std::string, std::string>> settings{{"instances", std::to_string(with.instances)},
                                                            {"threads", std::to_string(with.threads)}};
  if (with.max_batch > 0)
    settings.emplace_back("batching.max_batch", std::to_string(with.max_batch));
  settings.emplace_back("batching.max_delay", "\"" + std::to_string(with.max_delay_ms) + "ms\"");
  return settings;
}

/// One item of zeros, or of a sentence, for every input of the model.
wire::ModelInferRequest sample_request(const wire::ModelMetadataResponse& what) {
  wire::ModelInferRequest request;
  request.set_model_name(what.name());
  for (const auto& spec : what.inputs()) {
    auto& input = *request.add_inputs();
    input.set_name(spec.name());
    input.set_datatype(spec.datatype() == "ANY" ? "FP32" : spec.datatype());
    std::int64_t elements = 1;
    for (const auto extent : spec.shape()) {
      input.add_shape(std::max<std::int64_t>(extent, 1));
      elements *= std::max<std::int64_t>(extent, 1);
    }
    const auto type = parse_datatype(input.datatype()).value_or(datatype::fp32);
    auto& raw = *request.add_raw_input_contents();
    if (type != datatype::bytes) {
      raw.resize(static_cast<std::size_t>(elements) * element_size(type));
      continue;
    }
    const std::string text = sample_text;
    for (std::int64_t i = 0; i != elements; ++i)
      raw += std::string{static_cast<char>(text.size()), '\0', '\0', '\0'} + text;
  }
  return request;
}

class tuner {
 public:
  tuner(session& with, const tune_options& options, private_node& node)
      : with_(with),
        options_(options),
        node_(node),
        client_(node.address(), std::chrono::minutes{10}, with.signals.token()),
        name_(std::filesystem::path{options.model}.filename().string()) {}

  expected<void> run() {
    if (const auto prepared = prepare(); !prepared)
      return prepared;
    if (const auto now = measure_as_it_is(); !now)
      return now.error();
    for (const auto& next : tunings_to_try(slots_, most_batch_, options_.in_flight))
      if (const auto measured = measure(next); !measured)
        return measured;
    if (const auto delays = try_delays(); !delays)
      return delays;
    return propose();
  }

 private:
  expected<void> prepare() {
    if (!options_.inputs.empty()) {
      infer_options asked;
      asked.model = name_;
      asked.inputs = options_.inputs;
      auto request = make_request(client_, asked);
      if (!request)
        return request.error();
      request_ = *std::move(request);
    } else {
      const auto what = client_.metadata(name_, "");
      if (!what)
        return what.error();
      request_ = sample_request(*what);
    }
    const auto devices = client_.devices();
    if (!devices)
      return devices.error();
    for (const auto& device : devices->devices())
      if (device.name() == "CPU")
        slots_ = static_cast<std::int64_t>(device.pool().threads());
    const auto config = client_.config(name_);
    if (!config)
      return config.error();
    as_it_is_.instances = config->config().instance_group(0).count();
    const auto batches = config->config().dynamic_batching().preferred_batch_size();
    most_batch_ = batches.empty()
                      ? 1
                      : std::min<std::int64_t>(*std::max_element(batches.begin(), batches.end()), most_batch_tried);
    return {};
  }

  /// The first row, against which the others have to be better.
  expected<void> measure_as_it_is() {
    auto now = load_and_measure({}, as_it_is_);
    if (!now)
      return now.error();
    now_ = *std::move(now);
    print_head();
    print_row(now_, "model.toml");
    return {};
  }

  expected<void> measure(const tuning& next) {
    auto measured = load_and_measure(settings_of(next), next);
    if (!measured)
      return measured.error();
    print_row(*measured, "");
    all_.push_back(*std::move(measured));
    return {};
  }

  /// A delay pays where it fills batches that would not fill by themselves.
  expected<void> try_delays() {
    auto next = best().with;
    if (next.max_batch == 1)
      return {};
    for (const std::int64_t ms : {1, 3}) {
      next.max_delay_ms = ms;
      if (const auto measured = measure(next); !measured)
        return measured;
    }
    return {};
  }

  expected<measurement> load_and_measure(const std::vector<std::pair<std::string, std::string>>& settings,
                                         const tuning& tried) {
    std::string text;
    for (const auto& [key, value] : settings)
      text += key + " = " + value + "\n";
    if (const auto loaded = client_.load(name_, text); !loaded)
      return loaded.error();
    const auto before = node_.cpu_time();
    const auto window = std::chrono::duration_cast<milliseconds>(options_.window);
    const auto load =
        run_closed_loop({node_.address(), request_, options_.in_flight, window / 4, window}, with_.signals.token());
    if (!load)
      return load.error();
    const std::chrono::duration<double, std::milli> cpu = node_.cpu_time() - before;
    return measurement{tried, *load, cpu.count() / static_cast<double>(load->all)};
  }

  const measurement& best() const {
    const auto most = throughput(*std::max_element(
        all_.begin(), all_.end(), [](const auto& a, const auto& b) { return throughput(a) < throughput(b); }));
    const measurement* found = nullptr;
    for (const auto& each : all_)
      if (throughput(each) * as_good_as >= most && (!found || each.load.p99 < found->load.p99))
        found = &each;
    return *found;
  }

  expected<void> propose() {
    const auto& winner = best();
    const auto gain = throughput(winner) / throughput(now_);
    const auto wait = winner.load.p99 / now_.load.p99;
    const bool better = gain > as_good_as || (gain * as_good_as > 1 && wait < shorter_wait);
    std::string said = "keep model.toml as it is: nothing that was tried is better\n";
    if (better) {
      said = "propose";
      for (const auto& [key, value] : settings_of(winner.with))
        said += "  " + key + " = " + value;
      said += "\n        with " + number(gain) + "x the requests/s and " + number(wait) + "x the p99 of model.toml\n";
    }
    if (with_.json)
      said =
          json{{"better", better}, {"requests_per_s", gain}, {"p99", wait}, {"settings", json_of(winner.with)}}.dump() +
          "\n";
    with_.out.print(said);
    if (!better || !options_.apply)
      return {};
    return apply(winner.with);
  }

  /// Writes the settings into model.toml, as it was otherwise, and has the node read it; when it can't, nothing is
  /// changed.
  expected<void> apply(const tuning& chosen) {
    const auto file = std::filesystem::path{options_.model} / "model.toml";
    std::stringstream before;
    before << std::ifstream{file}.rdbuf();
    auto text = before.str();
    for (const auto& [key, value] : settings_of(chosen))
      text = set_toml_value(text, key, value);
    if (const auto written = write(file, text); !written)
      return written;
    if (const auto loaded = client_.load(name_, ""); !loaded) {
      static_cast<void>(write(file, before.str()));
      return loaded;
    }
    if (!with_.json)
      with_.out.print("written to " + file.string() + "\n");
    return {};
  }

  static expected<void> write(const std::filesystem::path& file, const std::string& text) {
    const auto partial = file.string() + ".partial";
    std::error_code failed;
    if (std::ofstream out{partial}; !(out << text << std::flush))
      return make_error(status_code::failed_precondition, "cannot write '" + partial + "'",
                        "check the folder's rights");
    std::filesystem::rename(partial, file, failed);
    return failed ? make_error(status_code::failed_precondition, "cannot replace '" + file.string() + "'")
                  : expected<void>{};
  }

  static std::string number(double value) {
    std::string text;
    append_short_number(text, std::round(value * 100) / 100);
    return text;
  }

  static json json_of(const tuning& of) {
    return {{"instances", of.instances},
            {"threads", of.threads},
            {"max_batch", of.max_batch},
            {"max_delay_ms", of.max_delay_ms}};
  }

  void print_head() {
    if (!with_.json)
      print_cells({"INSTANCES", "THREADS", "BATCH", "DELAY", "REQUESTS/S", "P50 MS", "P99 MS", "CPU MS", ""});
    with_.out.flush();
  }

  void print_row(const measurement& of, const std::string& remark) {
    const auto& [tried, load, cpu] = of;
    if (with_.json) {
      auto line = json_of(tried);
      line.update({{"requests_per_s", throughput(of)}, {"p50_ms", load.p50}, {"p99_ms", load.p99}, {"cpu_ms", cpu}});
      with_.out.print((remark.empty() ? line : json{{"as_it_is", line}}).dump() + "\n");
    } else {
      const bool known = remark.empty();
      print_cells({std::to_string(tried.instances), known ? std::to_string(tried.threads) : "",
                   known ? std::to_string(tried.max_batch) : "", known ? std::to_string(tried.max_delay_ms) + "ms" : "",
                   number(throughput(of)), number(load.p50), number(load.p99), number(cpu), remark});
    }
    with_.out.flush();
  }

  /// Rows come one by one, so that their widths are set beforehand.
  void print_cells(const std::vector<std::string>& cells) {
    constexpr std::size_t width = 12;
    std::string line;
    for (const auto& cell : cells) {
      line += cell;
      line.append(cell.size() < width ? width - cell.size() : 1, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    with_.out.print(line + "\n");
  }

  session& with_;
  const tune_options& options_;
  private_node& node_;
  client client_;
  const std::string name_;
  wire::ModelInferRequest request_;
  std::int64_t slots_ = 1;
  std::int64_t most_batch_ = 1;
  tuning as_it_is_;
  measurement now_;
  std::vector<measurement> all_;
};

}  // namespace

std::vector<tuning> tunings_to_try(std::int64_t slots, std::int64_t most_batch, int in_flight) {
  std::vector<tuning> result;
  for (std::int64_t threads = 1; threads <= slots; threads *= 2)
    for (std::int64_t instances = 1; instances * threads <= slots; instances *= 2)
      for (std::int64_t batch = 1; batch <= std::min<std::int64_t>(most_batch, in_flight); batch *= 2)
        result.push_back({instances, threads, batch, 0});
  return result;
}

expected<void> tune(session& with, const tune_options& options) {
  std::error_code failed;
  const auto folder = std::filesystem::canonical(options.model, failed);
  if (failed || !std::filesystem::exists(folder / "model.toml", failed))
    return make_error(status_code::not_found, "'" + options.model + "' is no model's folder",
                      "name the folder that its model.toml is in");
  const auto node = private_node::start(folder, options.skillsets, with.signals.token());
  if (!node)
    return node.error();
  auto real = options;
  real.model = folder.string();
  return tuner{with, real, **node}.run();
}

}  // namespace troupe::cli
