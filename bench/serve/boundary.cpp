// bench_boundary: what it costs that a model's instance lives in a process of its own: the same batches by an instance
// in this process and by one in a host, in turns. One line of JSON on standard output; bench/serve/run reads it.

#include "actors/serving/model_folder.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "apps/troupe/process_time.hpp"
#include "skillsets/identity/identity.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace troupe;

constexpr int turns = 4;

template <class T>
T value_of(expected<T> result) {
  if (!result)
    throw std::runtime_error{to_string(result.error())};
  return *std::move(result);
}

/// Sees that it is answered well; what it is answered is of no use here.
class checked_item final : public work_item {
 public:
  explicit checked_item(const inference_request& what) : request_(what) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return {}; }
  void send(inference_response) override {}
  void respond(expected<inference_response> answer) override { (void)value_of(std::move(answer)); }
  void complete() override {}

 private:
  const inference_request& request_;
};

/// CPU time of this process and of those that its threads have started.
double cpu_seconds() {
  auto sum = cpu_time_of(getpid()).value();
  for (const auto child : children_of(getpid()))
    sum += cpu_time_of(child).value_or(std::chrono::nanoseconds{});
  return std::chrono::duration<double>{sum}.count();
}

/// An instance that works in one isolation, and what it took.
struct side {
  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
  std::uint64_t batches = 0;
  double cpu = 0;
  double wall = 0;
};

side open(skillset_catalog& catalog, const std::filesystem::path& folder, const char* isolation) {
  const auto read = value_of(read_model_folder(folder, catalog, std::string{"isolation = \""} + isolation + "\""));
  side made;
  made.model = value_of(read.skills->load(settings_of(read), {}));
  made.worker = value_of(made.model->make_instance());
  (void)value_of(run_one(*made.worker, made.model->warm_up(), {}));
  return made;
}

void run(side& who, const std::vector<inference_request>& requests, std::chrono::milliseconds window) {
  std::vector<checked_item> items{requests.begin(), requests.end()};
  std::vector<work_item*> batch;
  for (auto& item : items)
    batch.push_back(&item);
  const auto cpu = cpu_seconds();
  const auto began = steady_clock::now();
  do {
    if (auto ran = run_contained(*who.worker, batch, {}); !ran)
      throw std::runtime_error{to_string(ran.error())};
    ++who.batches;
  } while (steady_clock::now() - began < window);
  who.cpu += cpu_seconds() - cpu;
  who.wall += std::chrono::duration<double>(steady_clock::now() - began).count();
}

void print(const char* name, const side& who, const char* end) {
  const auto batches = static_cast<double>(who.batches);
  std::printf("\"%s\":{\"cpu_us\":%.2f,\"us\":%.2f}%s", name, who.cpu * 1e6 / batches, who.wall * 1e6 / batches, end);
}

int measure(const std::filesystem::path& build, const std::filesystem::path& folder, const std::string& what,
            std::chrono::milliseconds window) {
  skillset_catalog catalog{{build / "lib/troupe/skillsets"}, build / "bin/troupe-host"};
  catalog.add(make_identity_skillset());
  std::vector<inference_request> requests;
  if (const auto elements = std::strtoul(what.c_str(), nullptr, 10); elements > 0) {
    const auto shape = static_cast<std::int64_t>(elements);
    requests.push_back(
        {{tensor{"input", datatype::fp32, {shape}, buffer::take(std::vector<float>(elements, 0.5f))}}, {}});
  } else {
    std::ifstream texts{what};
    for (std::string text; requests.size() < 8 && std::getline(texts, text);) {
      std::string data;
      append_bytes(data, text);
      requests.push_back({{tensor{"text", datatype::bytes, {1}, buffer::take(std::move(data))}}, {}});
    }
  }
  if (requests.empty())
    throw std::runtime_error{"no texts in '" + what + "'"};
  auto here = open(catalog, folder, "thread"), hosted = open(catalog, folder, "process");
  for (int turn = 0; turn != turns; ++turn) {
    run(here, requests, window / turns);
    run(hosted, requests, window / turns);
  }
  std::printf("{");
  print("thread", here, ",");
  print("process", hosted, "}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: bench_boundary BUILD MODEL ELEMENTS|TEXTS WINDOW_MS\n", stderr);
    return 2;
  }
  try {
    return measure(argv[1], argv[2], argv[3], std::chrono::milliseconds{std::atoi(argv[4])});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_boundary: %s\n", e.what());
    return 1;
  }
}
