// bench_load: measures a server that is running, in a closed loop (default) or an open one (--open), or how long one
// takes to start (--start). One line of JSON on standard output; bench/echo/run and bench/serve/run read it.

#include "bench/echo/load.hpp"
#include "bench/echo/open_loop.hpp"
#include "bench/echo/start.hpp"

#include <getopt.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr auto usage =
    "usage: bench_load --target ADDRESS [--pid SERVER] [--output NAME] [--concurrency N] [--connections N]\n"
    "                  [--warm-up MS] [--window MS] [--model NAME --texts FILE]\n"
    "       bench_load --target ADDRESS --open RATE:SECONDS[,…] [--arrivals poisson|fixed] [--seed N] [--pid SERVER]\n"
    "                  [--connections N] [--model NAME --texts FILE]\n"
    "       bench_load --start READY_FILE COMMAND…\n";

struct options {
  troupe::bench::load_options load;
  std::vector<troupe::bench::open_phase> phases;
  bool poisson = true;
  std::uint64_t seed = 1;
  std::string ready_file;
  std::vector<std::string> command;
};

std::vector<std::string> read_lines(const char* file) {
  std::vector<std::string> lines;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  if (lines.empty()) {
    std::fprintf(stderr, "bench_load: no lines in '%s'\n", file);
    std::exit(2);
  }
  return lines;
}

/// RATE:SECONDS[,…]; nothing when it isn't.
std::vector<troupe::bench::open_phase> parse_phases(const char* text) {
  std::vector<troupe::bench::open_phase> phases;
  for (;; ++text) {
    char* end = nullptr;
    const auto rate = std::strtod(text, &end);
    if (end == text || *end != ':') {
      return {};
    }
    text = end + 1;
    const auto seconds = std::strtod(text, &end);
    if (end == text || rate < 0 || seconds <= 0 || (*end != ',' && *end != '\0')) {
      return {};
    }
    phases.push_back({rate, seconds});
    text = end;
    if (*end == '\0') {
      return phases;
    }
  }
}

void set(options& result, int name, const char* value) {
  switch (name) {
    case 't':
      result.load.target = value;
      return;
    case 'p':
      result.load.server = std::atoi(value);
      return;
    case 'o':
      result.load.output = value;
      return;
    case 'c':
      result.load.concurrency = std::max(1, std::atoi(value));
      return;
    case 'n':
      result.load.connections = std::max(1, std::atoi(value));
      return;
    case 'u':
      result.load.warm_up = std::chrono::milliseconds{std::atoi(value)};
      return;
    case 'w':
      result.load.window = std::chrono::milliseconds{std::atoi(value)};
      return;
    case 'm':
      result.load.model = value;
      return;
    case 'x':
      result.load.texts = read_lines(value);
      return;
    case 'O':
      result.phases = parse_phases(value);
      if (result.phases.empty()) {
        set(result, '?', nullptr);
      }
      return;
    case 'a':
      result.poisson = value != std::string{"fixed"};
      return;
    case 'e':
      result.seed = std::strtoull(value, nullptr, 10);
      return;
    case 's':
      result.ready_file = value;
      return;
    default:
      std::fputs(usage, stderr);
      std::exit(2);
  }
}

options parse(int argc, char** argv) {
  static const option known[] = {
      {"target", required_argument, nullptr, 't'},      {"pid", required_argument, nullptr, 'p'},
      {"output", required_argument, nullptr, 'o'},      {"concurrency", required_argument, nullptr, 'c'},
      {"connections", required_argument, nullptr, 'n'}, {"warm-up", required_argument, nullptr, 'u'},
      {"window", required_argument, nullptr, 'w'},      {"model", required_argument, nullptr, 'm'},
      {"texts", required_argument, nullptr, 'x'},       {"open", required_argument, nullptr, 'O'},
      {"arrivals", required_argument, nullptr, 'a'},    {"seed", required_argument, nullptr, 'e'},
      {"start", required_argument, nullptr, 's'},       {}};
  options result;
  for (int name; (name = getopt_long(argc, argv, "+", known, nullptr)) != -1;) {
    set(result, name, optarg);
  }
  result.command.assign(argv + optind, argv + argc);
  if (result.load.target.empty() == result.ready_file.empty() || result.ready_file.empty() != result.command.empty()) {
    set(result, '?', nullptr);
  }
  return result;
}

int measure_start(const options& opts) {
  const auto took = troupe::bench::time_start(opts.command, opts.ready_file, std::chrono::seconds{20});
  std::printf("{\"ready_ms\":%.3f}\n", static_cast<double>(took.count()) * 1e-6);
  return 0;
}

int measure_load(const options& opts) {
  const auto result = troupe::bench::run_load(opts.load);
  if (result.failures > 0) {
    std::fprintf(stderr, "bench_load: %llu requests failed; the first: %s\n",
                 static_cast<unsigned long long>(result.failures), result.first_failure.c_str());
    return 1;
  }
  std::printf("{\"requests\":%llu,\"requests_per_s\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"cpu_us\":%.3f}\n",
              static_cast<unsigned long long>(result.requests), static_cast<double>(result.requests) / result.seconds,
              result.p50, result.p99, result.cpu_per_request);
  return result.requests > 0 ? 0 : 1;
}

void print(const char* name, const troupe::bench::open_outcome& of) {
  std::printf(",\"%s\":{\"count\":%llu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f}", name,
              static_cast<unsigned long long>(of.count), of.p50, of.p90, of.p99);
}

void print(const troupe::bench::open_result& result) {
  std::printf("{\"rate\":%.2f,\"seconds\":%.3f,\"sent\":%llu,\"good_per_s\":%.1f", result.phase.rate,
              result.phase.seconds, static_cast<unsigned long long>(result.sent),
              static_cast<double>(result.good) / result.phase.seconds);
  print("answered", result.answered);
  print("refused", result.refused);
  print("failed", result.failed);
  std::printf(",\"late_p99_us\":%.1f,\"cpu_s\":%.4f,\"slices\":[", result.late_p99, result.cpu);
  const char* comma = "";
  for (const auto& slice : result.slices) {
    std::printf("%s{\"answered\":%llu,\"refused\":%llu,\"p50_us\":%.1f}", comma,
                static_cast<unsigned long long>(slice.answered), static_cast<unsigned long long>(slice.refused),
                slice.p50);
    comma = ",";
  }
  std::printf("]}");
}

int measure_open_loop(const options& opts) {
  const auto& given = opts.load;
  const auto results = troupe::bench::run_open_loop(
      {given.target, given.model, given.texts, given.connections, given.server, opts.phases, opts.poisson, opts.seed});
  const char* before = "[";
  for (const auto& result : results) {
    std::printf("%s", std::exchange(before, ","));
    print(result);
    if (!result.first_failure.empty()) {
      std::fprintf(stderr, "bench_load: %llu requests failed; the first: %s\n",
                   static_cast<unsigned long long>(result.failed.count), result.first_failure.c_str());
    }
  }
  std::printf("]\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto opts = parse(argc, argv);
  try {
    if (!opts.command.empty()) {
      return measure_start(opts);
    }
    return opts.phases.empty() ? measure_load(opts) : measure_open_loop(opts);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_load: %s\n", e.what());
    return 1;
  }
}
