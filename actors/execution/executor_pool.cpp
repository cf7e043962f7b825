#include "actors/execution/executor_pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace troupe {
namespace {

class function_job final : public pool_job {
 public:
  explicit function_job(std::function<void()> work) : work_(std::move(work)) {}

  void run() noexcept override { std::exchange(work_, nullptr)(); }

 private:
  std::function<void()> work_;
};

/// The part of what a job is believed to take that one more observation replaces.
constexpr double weight_of_news = 0.2;

capacity_limiter limiter_of(const pool_capacity& capacity) {
  return *capacity_limiter::make(static_cast<std::int64_t>(capacity.threads));
}

pool_capacity at_least_one_thread(pool_capacity capacity) {
  capacity.threads = std::max<std::size_t>(capacity.threads, 1);
  return capacity;
}

}  // namespace

std::shared_ptr<pool_job> make_job(std::function<void()> work) {
  return std::make_shared<function_job>(std::move(work));
}

/// Guarded by the lock of its pool's core, but for what never changes.
class executor_pool::share {
 public:
  explicit share(share_options how) : options(std::move(how)) {}

  /// Time that a job is charged when it begins: what the last ones took. The rest follows when it has ended.
  double charge() const { return expected_seconds * static_cast<double>(options.threads) / options.weight; }

  const share_options options;
  std::deque<std::shared_ptr<job_work>> jobs;
  std::size_t running = 0;
  double pass = 0;  // time it has had, by its weight
  double seconds = 0;
  double expected_seconds = 0;
};

/// What jobs and leases need of their pool, which may be gone before them.
class executor_pool::core : public std::enable_shared_from_this<core> {
 public:
  core(std::string called, pool_capacity what, troupe::clock& by)
      : name(std::move(called)), capacity(at_least_one_thread(what)), time(by), free_threads_(capacity.threads) {}

  /// Before anything else, and for as long as there are jobs.
  void use(thread_pool& threads) noexcept { threads_ = &threads; }

  std::shared_ptr<share> open(share_options options) {
    options.threads = std::clamp<std::size_t>(options.threads, 1, capacity.threads);
    auto opened = std::make_shared<share>(std::move(options));
    const std::lock_guard lock{mutex_};
    std::erase_if(shares_, [](const auto& known) { return known.expired(); });
    shares_.push_back(opened);
    return opened;
  }

  bool submit(std::shared_ptr<pool_job> job, std::shared_ptr<share> of);
  void ended(share& of, steady_clock::time_point began);

  bool try_lease() {
    const std::lock_guard lock{mutex_};
    if (free_threads_ == 0 || queued_ != 0 || !inside.enter())
      return false;
    --free_threads_;
    return true;
  }

  void end_lease() {
    {
      const std::lock_guard lock{mutex_};
      ++free_threads_;
      dispatch();
    }
    inside.leave();
  }

  expected<void> reserve(std::uint64_t bytes) {
    const std::lock_guard lock{mutex_};
    if (capacity.bytes != 0 && bytes > capacity.bytes - reserved_)
      return make_error(status_code::resource_exhausted,
                        "device '" + name + "' has " + std::to_string(capacity.bytes - reserved_) + " of its " +
                            std::to_string(capacity.bytes) + " bytes left, and " + std::to_string(bytes) +
                            " are asked for",
                        "unload a model, or allow the process more memory");
    reserved_ += bytes;
    return {};
  }

  void release(std::uint64_t bytes) {
    const std::lock_guard lock{mutex_};
    reserved_ -= bytes;
  }

  bool contended() const noexcept { return queued_.load(std::memory_order_relaxed) > 0; }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    return {capacity.threads, capacity.threads - free_threads_, queued_, finished_, capacity.bytes, reserved_};
  }

  std::vector<share_statistics> share_stats() const {
    std::vector<share_statistics> result;
    const std::lock_guard lock{mutex_};
    for (const auto& known : shares_)
      if (const auto one = known.lock())
        result.push_back({one->options.name, one->options.weight, one->options.threads, one->running, one->jobs.size(),
                          one->seconds});
    return result;
  }

  /// Once it is closed: waits for the jobs. Where one of them is what calls, the pool is given all that are left to run
  /// when their time comes.
  void join();

  const std::string name;
  const pool_capacity capacity;
  troupe::clock& time;
  gate inside;  // jobs and leases

 private:
  void dispatch();
  void begin(share& of);
  std::shared_ptr<share> next() const;

  thread_pool* threads_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable no_jobs_;
  std::size_t free_threads_;
  std::uint64_t reserved_ = 0;
  std::uint64_t finished_ = 0;
  std::size_t jobs_ = 0;                 // queued or running
  std::atomic<std::size_t> queued_ = 0;  // written under the lock
  double now_ = 0;                       // the pass of whoever began last: where those begin who were idle
  std::vector<std::weak_ptr<share>> shares_;
  std::vector<std::shared_ptr<share>> waiting_;  // those that have jobs
  std::shared_ptr<share> others_ = std::make_shared<share>(share_options{"others"});
};

/// A job's way to a thread.
class executor_pool::job_work final : public pool_work {
 public:
  job_work(std::shared_ptr<pool_job> job, std::shared_ptr<share> of, std::shared_ptr<core> in)
      : pool_work({}, {}), job_(std::move(job)), share_(std::move(of)), core_(std::move(in)) {}

  static const core* running_here() noexcept { return current_; }

 private:
  void run() noexcept override {
    began_ = core_->time.now();
    current_ = core_.get();
    job_->queued_.store(false, std::memory_order_release);
    // What the job held is gone before its threads are free.
    std::exchange(job_, nullptr)->run();
    current_ = nullptr;
  }
  void ended() noexcept override { core_->ended(*share_, began_); }

  /// For want of threads, of which there are as many as can be asked for.
  void refused(error) noexcept override {
    job_->queued_.store(false, std::memory_order_release);
    core_->ended(*share_, core_->time.now());
  }

  static thread_local const core* current_;

  std::shared_ptr<pool_job> job_;
  const std::shared_ptr<share> share_;
  const std::shared_ptr<core> core_;
  steady_clock::time_point began_;
};

thread_local const executor_pool::core* executor_pool::job_work::current_ = nullptr;

bool executor_pool::core::submit(std::shared_ptr<pool_job> job, std::shared_ptr<share> of) {
  if (job->queued_.exchange(true, std::memory_order_acq_rel))
    return true;
  if (!inside.enter()) {
    job->queued_.store(false, std::memory_order_release);
    return false;
  }
  if (!of)
    of = others_;
  const std::lock_guard lock{mutex_};
  if (of->jobs.empty()) {
    waiting_.push_back(of);
    if (of->running == 0)
      of->pass = std::max(of->pass, now_);
  }
  of->jobs.push_back(std::make_shared<job_work>(std::move(job), of, shared_from_this()));
  ++queued_;
  ++jobs_;
  dispatch();
  return true;
}

void executor_pool::core::ended(share& of, steady_clock::time_point began) {
  const auto took = std::chrono::duration<double>(time.now() - began).count();
  const auto threads = static_cast<double>(of.options.threads);
  {
    const std::lock_guard lock{mutex_};
    of.pass += took * threads / of.options.weight - of.charge();
    of.seconds += took * threads;
    of.expected_seconds += weight_of_news * (took - of.expected_seconds);
    --of.running;
    free_threads_ += of.options.threads;
    ++finished_;
    --jobs_;
    dispatch();
    if (jobs_ == 0)
      no_jobs_.notify_all();
  }
  inside.leave();
}

/// Begins jobs for as long as the one whose turn it is finds threads. Under the lock.
void executor_pool::core::dispatch() {
  while (const auto of = next()) {
    if (of->options.threads > free_threads_)
      return;
    free_threads_ -= of->options.threads;
    begin(*of);
  }
}

/// Gives a share's next job to the threads. Under the lock.
void executor_pool::core::begin(share& of) {
  const auto work = std::move(of.jobs.front());
  of.jobs.pop_front();
  if (of.jobs.empty())
    std::erase_if(waiting_, [&](const auto& waiting) { return waiting.get() == &of; });
  --queued_;
  now_ = of.pass;
  of.pass += of.charge();
  ++of.running;
  // Can't be refused: the threads are there until no job is left, and as many as can be free.
  (void)threads_->submit(work, threads_->limiter());
}

/// Whose turn it is.
std::shared_ptr<executor_pool::share> executor_pool::core::next() const {
  const auto least = std::min_element(waiting_.begin(), waiting_.end(),
                                      [](const auto& a, const auto& b) { return a->pass < b->pass; });
  return least == waiting_.end() ? nullptr : *least;
}

void executor_pool::core::join() {
  std::unique_lock lock{mutex_};
  if (job_work::running_here() != this) {
    no_jobs_.wait(lock, [this] { return jobs_ == 0; });
    return;
  }
  while (const auto of = next()) {
    free_threads_ -= of->options.threads;  // more than there are: the threads' own limiter holds them back
    begin(*of);
  }
}

executor_pool::executor_pool(std::string name, pool_capacity capacity, troupe::clock& time)
    : core_(std::make_shared<core>(std::move(name), capacity, time)),
      threads_({.name = core_->name, .limiter = limiter_of(core_->capacity), .kept_threads = core_->capacity.threads}) {
  core_->use(threads_);
}

executor_pool::~executor_pool() {
  close();
  core_->join();
}

std::shared_ptr<executor_pool::share> executor_pool::open_share(share_options options) {
  return core_->open(std::move(options));
}

bool executor_pool::submit(std::shared_ptr<pool_job> job, const std::shared_ptr<share>& of) {
  return core_->submit(std::move(job), of);
}

std::optional<executor_pool::lease> executor_pool::try_lease() {
  return core_->try_lease() ? std::optional{lease{core_}} : std::nullopt;
}

expected<executor_pool::memory_lease> executor_pool::reserve(std::uint64_t bytes) {
  if (auto reserved = core_->reserve(bytes); !reserved)
    return std::move(reserved).error();
  return memory_lease{core_, bytes};
}

void executor_pool::close() {
  core_->inside.close();
}

gate::drained_operation executor_pool::drained() const {
  return core_->inside.drained();
}

bool executor_pool::contended() const noexcept {
  return core_->contended();
}

const std::string& executor_pool::name() const noexcept {
  return core_->name;
}

executor_pool::statistics executor_pool::stats() const {
  return core_->stats();
}

std::vector<executor_pool::share_statistics> executor_pool::share_stats() const {
  return core_->share_stats();
}

executor_pool::lease::~lease() {
  if (core_)
    core_->end_lease();
}

executor_pool::memory_lease::~memory_lease() {
  if (core_)
    core_->release(bytes_);
}

}  // namespace troupe
