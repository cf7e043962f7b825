// bench_engine: what a model costs without a server: its skillset runs batches of the texts of a file, one thread a
// instance, for a window. `padded`: each batch is in the order of the file, and all of it as long as its longest, as
// where nobody sorts by length. One line of JSON on standard output; bench/serve/run reads it.

#include "actors/serving/model_folder.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace troupe;

struct arguments {
  std::filesystem::path skillsets, model, texts;
  std::size_t batch;
  std::size_t threads;
  std::chrono::milliseconds window;
  bool padded;
};

template <class T>
T value_of(expected<T> result) {
  if (!result)
    throw std::runtime_error{to_string(result.error())};
  return *std::move(result);
}

std::vector<std::string> read_texts(const std::filesystem::path& file) {
  std::vector<std::string> texts;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);)
    texts.push_back(line);
  if (texts.empty())
    throw std::runtime_error{"no texts in '" + file.string() + "'"};
  return texts;
}

/// Makes each text of a batch as long as its longest one, and leaves out the last texts that are no whole batch. Filled
/// up with words of one token: to the engine, which computes what is masked out like everything else, they are padding.
void pad(std::vector<std::string>& texts, std::size_t batch) {
  const auto words = [](const std::string& text) { return 1 + std::count(text.begin(), text.end(), ' '); };
  texts.resize(std::max<std::size_t>(texts.size() / batch, 1) * batch, texts.front());
  for (auto first = texts.begin(); first != texts.end(); first += static_cast<std::ptrdiff_t>(batch)) {
    const auto last = first + static_cast<std::ptrdiff_t>(batch);
    const auto most = std::transform_reduce(
        first, last, std::ptrdiff_t{0}, [](auto a, auto b) { return std::max(a, b); }, words);
    for (auto text = first; text != last; ++text)
      for (auto count = words(*text); count != most; ++count)
        *text += " the";
  }
}

/// A request for each text.
std::vector<inference_request> make_requests(const std::vector<std::string>& texts) {
  std::vector<inference_request> requests;
  for (const auto& text : texts) {
    std::string data;
    append_bytes(data, text);
    requests.push_back({{tensor{"text", datatype::bytes, {1}, buffer::take(std::move(data))}}, {}});
  }
  return requests;
}

/// Counts that an item was answered well; what it was answered is of no use here.
class counted_item final : public work_item {
 public:
  counted_item(const inference_request& what, std::atomic<std::uint64_t>& good) : request_(what), good_(good) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return {}; }
  void send(inference_response) override { ++good_; }
  void respond(expected<inference_response> answer) override { good_ += answer ? 1 : 0; }
  void complete() override {}

 private:
  const inference_request& request_;
  std::atomic<std::uint64_t>& good_;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void work(instance& worker, const std::vector<inference_request>& requests, std::size_t batch, std::size_t first,
          const std::atomic<bool>& over, std::atomic<std::uint64_t>& good) {
  for (auto next = first; !over; next += batch) {
    std::vector<counted_item> items;
    std::vector<work_item*> view;
    for (std::size_t i = 0; i != batch; ++i)
      items.emplace_back(requests[(next + i) % requests.size()], good);
    for (auto& item : items)
      view.push_back(&item);
    if (auto ran = run_contained(worker, view, {}); !ran)
      throw std::runtime_error{to_string(ran.error())};
  }
}

int measure(const arguments& given) {
  skillset_catalog catalog{{given.skillsets}};
  const auto folder = value_of(read_model_folder(given.model, catalog, "isolation = \"thread\"\nthreads = 1"));
  auto texts = read_texts(given.texts);
  if (given.padded)
    pad(texts, given.batch);
  const auto requests = make_requests(texts);
  const auto loaded = value_of(folder.skills->load(settings_of(folder), {}));
  std::vector<std::unique_ptr<instance>> workers;
  for (std::size_t i = 0; i != given.threads; ++i) {
    workers.push_back(value_of(loaded->make_instance()));
    (void)value_of(run_one(*workers.back(), loaded->warm_up(), {}));
  }
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> good = 0;
  const auto cpu = cpu_seconds();
  const auto began = steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i != workers.size(); ++i)
      threads.emplace_back([&, i] { work(*workers[i], requests, given.batch, i * 7919 * given.batch, over, good); });
    std::this_thread::sleep_for(given.window);
    over = true;
  }
  const std::chrono::duration<double> took = steady_clock::now() - began;
  std::printf("{\"requests\":%llu,\"requests_per_s\":%.1f,\"cpu_us\":%.3f}\n",
              static_cast<unsigned long long>(good.load()), static_cast<double>(good) / took.count(),
              (cpu_seconds() - cpu) * 1e6 / static_cast<double>(good));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool padded = argc == 8 && argv[7] == std::string{"padded"};
  if (argc != 7 && !padded) {
    std::fputs("usage: bench_engine SKILLSETS MODEL TEXTS BATCH THREADS WINDOW_MS [padded]\n", stderr);
    return 2;
  }
  try {
    return measure({argv[1], argv[2], argv[3], std::strtoul(argv[4], nullptr, 10), std::strtoul(argv[5], nullptr, 10),
                    std::chrono::milliseconds{std::atoi(argv[6])}, padded});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_engine: %s\n", e.what());
    return 1;
  }
}
