#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
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
/// many in each, and so does the first axis of every output.
struct signature {
  std::vector<tensor_spec> inputs;
  std::vector<tensor_spec> outputs;
  bool batches = false;
};

/// What an instance is asked to do. Names, datatypes, shapes and sizes agree with the model's signature already, and
/// there is no input too many or too few; `inputs` are in the signature's order.
struct inference_request {
  std::vector<tensor> inputs;
  parameter_map parameters;
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

/// A model as its folder describes it, with all of its files present and their hashes checked.
struct model_settings {
  std::string name;
  std::filesystem::path folder;
  std::map<std::string, std::filesystem::path, std::less<>> files;  ///< role, such as `weights`, to path
  parameter_map options;       ///< every option the skillset declares, with its value
  std::string device;          ///< such as `CPU`
  std::int64_t instances = 1;  ///< how many will run at once
};

/// One loaded copy of a model, ready to work. Used by one thread at a time, not always the same one.
class instance {
 public:
  virtual ~instance() = default;

  /// Does the work and blocks until it is done. Looks at `token` often enough to end within milliseconds of its
  /// cancellation, and then returns `token.reason()`.
  virtual expected<inference_response> run(const inference_request& request, const cancel_token& token) = 0;

  /// True when `run` answers this request within microseconds and without blocking. Such work is done on the thread
  /// that brought it, because handing it over would cost more than the work; everything else runs on a pool's thread.
  virtual bool immediate(const inference_request& request) const noexcept {
    static_cast<void>(request);
    return false;
  }
};

/// A model in memory, from which instances are made; whatever they can share, such as weights, lives here. Outlives
/// its instances.
class loaded_model {
 public:
  virtual ~loaded_model() = default;

  virtual const signature& describe() const = 0;

  /// Makes one more instance; blocking.
  virtual expected<std::unique_ptr<instance>> make_instance() = 0;

  /// A real request that exercises the whole model. An instance is ready only after it has answered it.
  virtual inference_request warm_up() const = 0;
};

/// A plug-in that can do one task with any model of that task. Its functions are called from threads of an executor
/// pool, may block, and may throw: the platform turns an exception into an INTERNAL error of that one call.
class skillset {
 public:
  virtual ~skillset() = default;

  /// The name that model.toml refers to, such as `text_embedding`.
  virtual std::string_view name() const = 0;

  /// What it runs on, for ModelMetadata, such as `openvino`.
  virtual std::string_view platform() const = 0;

  /// What may stand in a model's `[options]`.
  virtual std::vector<option_spec> options() const = 0;

  /// Loads a model; blocking, for as long as seconds. Errors: NOT_FOUND for a role that is missing from `files`,
  /// INVALID_ARGUMENT for a file that is not what it should be, CANCELLED.
  virtual expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) = 0;
};

/// The symbol that a skillset's shared object exports: `extern "C" troupe::skillset* troupe_skillset()`. The skillset
/// lives as long as the object stays loaded.
using skillset_entry = skillset*();
inline constexpr const char* skillset_entry_name = "troupe_skillset";

}  // namespace troupe
