#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/batch_shape.hpp"
#include "actors/execution/runtime_device.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <any>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe {

/// The value of a request's, a response's or a model's option.
using parameter = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;
using parameter_map = std::map<std::string, parameter, std::less<>>;

/// What an input or output looks like. An extent of -1 may be anything; `any_rank` leaves the number of axes open too.
struct tensor_spec {
  std::string name;
  datatype type = datatype::fp32;
  std::vector<std::int64_t> shape;
  bool any_rank = false;
};

/// What a model takes and gives. When `batches`, the first axis of every input counts independent items, equally
/// many in each, and so does the first axis of every output. When `decoupled`, a request may have any number of
/// responses; else it has one. When `stateful`, every request belongs to a sequence, which keeps a state from one to
/// the next, and in a batch there are requests of different sequences only, with one item each.
struct signature {
  std::vector<tensor_spec> inputs;
  std::vector<tensor_spec> outputs;
  bool batches = false;
  bool decoupled = false;
  bool stateful = false;
};

/// What tells one sequence of requests from another: a number from 1 on, or a text that is not empty.
using sequence_id = std::variant<std::uint64_t, std::string>;

/// The sequence that a request belongs to, and whether it is the first or the last of it.
struct sequence_part {
  sequence_id id;
  bool start = false;
  bool end = false;
};

/// What an instance is asked to do. Names, datatypes, shapes and sizes agree with the model's signature already, and
/// there is no input too many or too few; `inputs` are in the signature's order.
struct inference_request {
  std::vector<tensor> inputs;
  parameter_map parameters;
  std::optional<sequence_part> sequence = std::nullopt;  ///< of a stateful model; always there
  std::uint32_t priority = 0;                            ///< what has less goes first, where it comes to that
};

/// What an instance answers: every output of the signature, in its order.
struct inference_response {
  std::vector<tensor> outputs;
  parameter_map parameters;
};

/// One option in the `[options]` table of a model.toml. Its type is that of `fallback`.
struct option_spec {
  std::string name;
  parameter fallback;                ///< bool, std::int64_t, double or std::string
  std::vector<std::string> choices;  ///< of a string; empty: any text
  double least = 0;                  ///< of a number, included
  double most = 0;                   ///< of a number, included; both 0: any
};

/// Something that instances of a model count or gauge, beyond what the platform counts of every model.
struct metric_spec {
  enum class kind : std::uint8_t {
    counter,  ///< since the instance was made; never falls
    gauge,    ///< now
  };

  std::string name;  ///< up to 64 lower-case letters, digits and `_`, the first one a letter, such as `prompt_tokens`
  std::string help;  ///< what it is, in up to 256 printable characters of ASCII
  kind is = kind::counter;
};

/// A model may have so many.
inline constexpr std::size_t most_metrics = 32;

/// What a host process that runs an instance of a model is allowed.
struct host_settings {
  std::uint64_t memory_mib = 0;  ///< that it may allocate; 0: not bounded
  std::uint64_t open_files = 0;  ///< 0: as many as the node
  bool network = false;          ///< whether it gets at more than Unix sockets

  /// How long it may take until the model is loaded, and an instance has answered its warm-up request.
  std::chrono::milliseconds start = std::chrono::minutes{5};

  /// How long it may say nothing while it works on a batch, before that costs it its life; 0: for ever.
  std::chrono::milliseconds silence = std::chrono::minutes{1};

  /// How long it may go on with work that was cancelled, before that does.
  std::chrono::milliseconds cancel_grace = std::chrono::seconds{2};
};

/// A model as its folder describes it, with all of its files present and their hashes checked.
struct model_settings {
  std::string name;
  std::filesystem::path folder;
  std::map<std::string, std::filesystem::path, std::less<>> files;  ///< role, such as `weights`, to path
  parameter_map options;       ///< every option the skillset declares, with its value
  std::string device;          ///< such as `CPU`
  std::int64_t instances = 1;  ///< how many will run at once
  std::size_t threads = 1;     ///< that each of them may use while it runs

  host_settings host = {};
};

/// One request of a batch, and where its answers go. The platform's; an instance uses it until its `run` returns. What
/// is given after the last word, or after the request was cancelled, is dropped.
class work_item {
 public:
  virtual ~work_item() = default;

  virtual const inference_request& request() const noexcept = 0;

  /// Cancelled once nobody wants the answers of this request any more; its neighbours may go on.
  virtual cancel_token token() const noexcept = 0;

  /// Gives a response after which more may come; of a decoupled model only. May wait, for as long as the token allows,
  /// for a client that has not yet taken what it was given before.
  virtual void send(inference_response response) = 0;

  /// The last word: a response, or the error that the request ends with.
  virtual void respond(expected<inference_response> answer) = 0;

  /// The last word of a decoupled request that has no further response.
  virtual void complete() = 0;

  /// The state of the sequence, as the request before this one left it; empty at a start, and where the model is not
  /// stateful.
  virtual const std::any& state() const noexcept;

  /// Leaves a state to the sequence's next request, in place of the one it had; before the last word. It counts once
  /// this request has been answered with a response. One that fails, or is cancelled, leaves everything as it was: an
  /// instance keeps nothing of a sequence itself, and doesn't change what a state refers to.
  virtual void set_state(std::any state);
};

class continuous_instance;

/// One loaded copy of a model, ready to work. Used by one thread at a time, not always the same one.
class instance {
 public:
  virtual ~instance() = default;

  /// Works on a batch, which is never empty and within the model's `batching()` where that was possible, and blocks
  /// until it is done. Each item gets its last word before this returns OK. An error, or an exception, is the end of
  /// those that have none yet: the platform runs them again in halves, to find out whose fault it is. Looks at
  /// `token`, which is cancelled once none of the items is wanted, often enough to end within milliseconds, and then
  /// returns `token.reason()`.
  virtual expected<void> run(std::span<work_item* const> batch, const cancel_token& token) = 0;

  /// True when `run` answers this request within microseconds and without blocking. Such work is done on the thread
  /// that brought it, because handing it over would cost more than the work; everything else, and all requests to a
  /// stateful model, run on a pool's thread.
  virtual bool immediate(const inference_request& request) const noexcept {
    static_cast<void>(request);
    return false;
  }

  /// False once it can never work again, as one whose process has ended. A `run` that finds that out returns why; its
  /// requests may run on another instance.
  virtual bool usable() const noexcept { return true; }

  /// Has `on_broken` called, at most once and from any thread, when that happens; to be called before the first `run`.
  virtual void watch(std::function<void(error)> on_broken) { static_cast<void>(on_broken); }

  /// What it measures at this moment, in the order of its model's `metrics()`, of which there is a place for each.
  /// Asked between two batches, or steps, on the thread that has it; must be quick. Values that are no numbers, and
  /// counters that fall, are not believed.
  virtual void measure(std::span<double> values) const noexcept { static_cast<void>(values); }

  /// This instance, where it works step by step; null where it works on batches.
  virtual continuous_instance* continuous() noexcept { return nullptr; }
};

/// An instance that works on one request at a time and has one response for it.
class single_instance : public instance {
 public:
  /// Does the work of one request. Looks at `token` as `run` of a batch does.
  virtual expected<inference_response> run(const inference_request& request, const cancel_token& token) = 0;

  expected<void> run(std::span<work_item* const> batch, const cancel_token&) final {
    for (auto* item : batch)
      item->respond(run(item->request(), item->token()));
    return {};
  }
};

/// An instance that works on several requests at once and in steps, for engines that interleave them, as language
/// models do. Between two steps the platform lets requests in, and takes out those that nobody wants any more: none
/// waits for another one's end, and what is cancelled costs no more than the step that runs.
class continuous_instance : public instance {
 public:
  /// How many requests it has at once, 1 or more; always the same.
  virtual std::size_t capacity() const noexcept = 0;

  /// Lets a request in, of which there are fewer than `capacity()` then. It stays until its last word, or until it is
  /// evicted. With an error it is not in, and that is its answer.
  virtual expected<void> admit(work_item& item) = 0;

  /// One step with those that are in, one at least; gives them what came of it. Everybody who comes or goes waits for
  /// its end, so that it should take some tens of milliseconds. An error, or an exception, evicts all: those that
  /// have had no response run again, each alone, to find out whose fault it is.
  virtual expected<void> step() = 0;

  /// Forgets a request that is in and has had no last word.
  virtual void evict(work_item& item) noexcept = 0;

  /// Somebody waits for the end of the step. Of use where `step` goes on for several of an engine's; from any thread.
  virtual void interrupt() noexcept {}

  /// Works on a batch until all of it has ended, letting in as many as there is room for.
  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) final;
  continuous_instance* continuous() noexcept final { return this; }
};

/// A cost that follows from the size of a request's first input alone. It has as many items as its first axis is long;
/// each costs `fixed` units, and one more for every `bytes_per_unit` of its bytes, `most` at most.
struct linear_cost {
  std::int64_t fixed = 1;
  std::int64_t bytes_per_unit = 1;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();

  work_cost operator()(const inference_request& request) const;

  friend bool operator==(const linear_cost&, const linear_cost&) = default;
};

/// How requests to a model run together.
struct batch_policy {
  batch_limits limits = {};  ///< model.toml may say less or more

  /// What a request costs, by which requests are batched and waits are foretold; null: an item of length 1. Called on a
  /// gateway's thread: must be quick, and an estimate will do. It may outlive the model, and so refers to nothing of
  /// it. In a process of its own a model can have a `linear_cost` here, and nothing else.
  std::function<work_cost(const inference_request&)> cost = nullptr;
};

/// A model in memory, from which instances are made; whatever they can share, such as weights, lives here. Outlives
/// its instances.
class loaded_model {
 public:
  virtual ~loaded_model() = default;

  virtual const signature& describe() const = 0;

  /// Makes one more instance; blocking.
  virtual expected<std::unique_ptr<instance>> make_instance() = 0;

  /// A real request that exercises the whole model; to a stateful one, a sequence of one. An instance is ready only
  /// after it has answered it.
  virtual inference_request warm_up() const = 0;

  /// How requests run together; one at a time unless it is overridden.
  virtual batch_policy batching() const { return {}; }

  /// What its instances measure, always the same: `most_metrics` at most, no name twice. The node shows each as
  /// `troupe_skillset_` with the skillset's name and its own, summed over the instances; what one has counted stays
  /// when it ends.
  virtual std::vector<metric_spec> metrics() const { return {}; }
};

/// A plug-in that can do one task with any model of that task. Its functions are called from threads of an executor
/// pool, or before the node starts, may block, and may throw: the platform turns an exception into an INTERNAL error of
/// that one call.
class skillset {
 public:
  virtual ~skillset() = default;

  /// The name that model.toml refers to, such as `text_embedding`.
  virtual std::string_view name() const = 0;

  /// What it runs on, for ModelMetadata, such as `openvino`.
  virtual std::string_view platform() const = 0;

  /// Its own version, such as `1.4.2`; empty where it has none.
  virtual std::string_view version() const { return {}; }

  /// What may stand in a model's `[options]`.
  virtual std::vector<option_spec> options() const = 0;

  /// Loads a model; blocking, for as long as seconds. Errors: NOT_FOUND for a role that is missing from `files`,
  /// INVALID_ARGUMENT for a file that is not what it should be, CANCELLED.
  virtual expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) = 0;

  /// The devices on which models can be loaded, as the skillset's runtime finds them on this machine at this moment;
  /// blocking. None unless it is overridden: such a skillset computes on the processor, and nowhere else.
  virtual expected<std::vector<runtime_device>> devices() { return std::vector<runtime_device>{}; }
};

}  // namespace troupe
