// bench_kernel: measures one case and prints one line of JSON; bench/kernel/run reads it.

#include "bench/kernel/cases.hpp"

#include <getopt.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace {

using namespace troupe::bench;

struct known_case {
  std::string_view name;
  figures (*run)(const case_options&);
};

constexpr known_case cases[] = {
    {"stream_threads", stream_threads},
    {"stream_coroutines", stream_coroutines},
    {"stream_actors", stream_actors},
    {"asio_channel", asio_channel},
    {"caf_channel", caf_channel},
    {"moodycamel_queue", moodycamel_queue},
    {"cancel_waiters", cancel_waiters},
    {"supervisor_restart", supervisor_restart},
    {"spawn_and_join", spawn_and_join},
    {"pool_round_trip", pool_round_trip},
    {"portal_round_trip", portal_round_trip},
    {"bare_pool_round_trip", bare_pool_round_trip},
};

constexpr auto usage =
    "usage: bench_kernel CASE [--items N] [--producers N] [--consumers N] [--batch N]\n"
    "       bench_kernel --list\n";

[[noreturn]] void refuse() {
  std::fputs(usage, stderr);
  std::exit(2);
}

void list_cases() {
  for (const auto& each : cases)
    std::printf("%.*s\n", static_cast<int>(each.name.size()), each.name.data());
}

unsigned long long number(const char* text) {
  char* end = nullptr;
  const auto result = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0' || result == 0)
    refuse();
  return result;
}

struct command {
  case_options options;
  const known_case* what = nullptr;
};

command parse(int argc, char** argv) {
  static const option known[] = {{"items", required_argument, nullptr, 'i'},
                                 {"producers", required_argument, nullptr, 'p'},
                                 {"consumers", required_argument, nullptr, 'c'},
                                 {"batch", required_argument, nullptr, 'b'},
                                 {"list", no_argument, nullptr, 'l'},
                                 {}};
  command result;
  for (int name; (name = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (name) {
      case 'i':
        result.options.items = number(optarg);
        break;
      case 'p':
        result.options.producers = static_cast<unsigned>(number(optarg));
        break;
      case 'c':
        result.options.consumers = static_cast<unsigned>(number(optarg));
        break;
      case 'b':
        result.options.batch = static_cast<unsigned>(number(optarg));
        break;
      case 'l':
        list_cases();
        std::exit(0);
      default:
        refuse();
    }
  }
  const auto* found = optind + 1 == argc ? std::find_if(std::begin(cases), std::end(cases),
                                                        [&](const auto& each) { return each.name == argv[optind]; })
                                         : std::end(cases);
  if (found == std::end(cases))
    refuse();
  result.what = found;
  return result;
}

void print(const figures& measured) {
  auto separator = '{';
  for (const auto& [name, value] : measured) {
    std::printf("%c\"%s\":%.9g", separator, name.c_str(), value);
    separator = ',';
  }
  std::puts("}");
}

}  // namespace

int main(int argc, char** argv) {
  const auto [options, what] = parse(argc, argv);
  try {
    auto warm_up = options;
    warm_up.items = std::max<std::uint64_t>(1, options.items / 10);
    what->run(warm_up);
    print(what->run(options));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_kernel: %s: %s\n", argv[optind], e.what());
    return 1;
  }
}
