#include "skillsets/sdk/conformance/checks.hpp"

#include "skillsets/sdk/run_one.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <numeric>
#include <sstream>
#include <vector>

namespace troupe::conformance {
namespace {

/// What may be noise: an allocator's, that of threads that are about to end, and that of engines, which keep some
/// memory once they have it, so that it takes a while to see that it isn't ever more.
struct bound {
  double a_cycle;
  double in_all;
  std::size_t least_cycles = 1;

  bool holds(double slope, std::size_t over) const {
    return slope <= a_cycle || slope * static_cast<double>(over) <= in_all || over < least_cycles;
  }
};
constexpr bound heap_bound{4 << 10, 1 << 20};
constexpr bound resident_bound{32 << 10, 8 << 20, 50};
constexpr bound handle_bound{0.1, 0};

std::size_t entries(const std::filesystem::path& folder) {
  std::error_code gone;
  std::filesystem::directory_iterator all{folder, gone};
  return gone ? 0 : static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// What this process holds, after each of several loads.
struct holdings {
  std::vector<double> heap;      ///< bytes in use; the allocator keeps more
  std::vector<double> resident;  ///< bytes, of whatever was mapped
  std::vector<double> descriptors;
  std::vector<double> threads;

  void look() {
    const auto in_use = mallinfo2();
    heap.push_back(static_cast<double>(in_use.uordblks + in_use.hblkhd));
    std::ifstream memory{"/proc/self/statm"};
    double pages = 0;
    memory >> pages >> pages;
    resident.push_back(pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
    descriptors.push_back(static_cast<double>(entries("/proc/self/fd")));
    threads.push_back(static_cast<double>(entries("/proc/self/task")));
  }
};

/// The slope of the straight line that fits best, in units a step.
double slope(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const auto middle = (n - 1) / 2;
  const auto mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double above = 0, below = 0;
  for (std::size_t i = 0; i != values.size(); ++i) {
    const auto x = static_cast<double>(i) - middle;
    above += x * (values[i] - mean);
    below += x * x;
  }
  return below == 0 ? 0 : above / below;
}

}  // namespace

finding gives_everything_back(subject& whom) {
  whom.unload();
  const auto cycles = std::max<std::size_t>(8, whom.how().cycles);
  // What is allocated once is no leak, and caches fill up.
  const auto settling = cycles / 2;
  holdings held;
  for (std::size_t i = 0; i != cycles; ++i) {
    const auto worker = whom.worker();
    if (!worker)
      return failed("load " + std::to_string(i + 1) + ": " + worker.error().message());
    if (const auto responses = run_one(**worker, whom.make_request(), {}); !responses)
      return failed("load " + std::to_string(i + 1) + ": " + responses.error().message());
    whom.unload();
    if (i >= settling)
      held.look();
  }
  const auto heap = slope(held.heap), resident = slope(held.resident), descriptors = slope(held.descriptors),
             threads = slope(held.threads);
  std::ostringstream measured;
  measured << std::setprecision(3) << heap << " bytes of heap, " << resident << " resident, " << descriptors
           << " descriptors and " << threads << " threads a cycle, over " << held.heap.size();
  const auto over = held.heap.size();
  if (!heap_bound.holds(heap, over) || !resident_bound.holds(resident, over) ||
      !handle_bound.holds(descriptors, over) || !handle_bound.holds(threads, over))
    return failed("each load leaves something behind: " + measured.str());
  return passed(measured.str());
}

}  // namespace troupe::conformance
