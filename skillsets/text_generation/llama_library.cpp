#include "skillsets/text_generation/llama_library.hpp"

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include <dlfcn.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <mutex>

namespace troupe::llama {
namespace {

/// Who listens on this thread.
thread_local std::string* complaints = nullptr;

void hear(ggml_log_level level, const char* text, void*) {
  if (level != GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_WARN)
    return;
  if (!complaints)
    std::fputs(text, stderr);
  else if (level == GGML_LOG_LEVEL_ERROR)
    *complaints += text;
}

/// The back ends lie beside the library.
std::filesystem::path library_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&llama_backend_init), &info) == 0 || !info.dli_fname)
    return {};
  return std::filesystem::weakly_canonical(info.dli_fname).parent_path();
}

/// Makes the library ready, once in a process: picks the variant for this very processor.
expected<void> start() {
  static const auto started = []() -> expected<void> {
    // Otherwise an abort would start a debugger first.
    setenv("GGML_NO_BACKTRACE", "1", 0);
    llama_log_set(hear, nullptr);
    const auto folder = library_folder();
    ggml_backend_load_all_from_path(folder.c_str());
    llama_backend_init();
    if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU))
      return make_error(status_code::internal, "llama.cpp finds no back end in " + folder.string(),
                        "install the skillset with the libraries of its folder");
    return {};
  }();
  return started;
}

bool computes_alone(ggml_backend_dev_t device) {
  const auto type = ggml_backend_dev_type(device);
  return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

/// What the model is to be loaded on: nothing but the end of the list is the processor.
expected<std::vector<ggml_backend_dev_t>> device_list(const std::string& name) {
  if (name == "CPU")
    return std::vector<ggml_backend_dev_t>{nullptr};
  if (auto* device = ggml_backend_dev_by_name(name.c_str()); device && computes_alone(device))
    return std::vector<ggml_backend_dev_t>{device, nullptr};
  return make_error(status_code::unavailable, "there is no device '" + name + "'",
                    "use CPU, or one that troupe devices lists for llama.cpp");
}

}  // namespace

listener::listener() {
  complaints = &heard_;
}

listener::~listener() {
  complaints = nullptr;
}

std::string listener::last() const {
  const auto end = heard_.find_last_not_of('\n');
  if (end == std::string::npos)
    return {};
  const auto before = heard_.rfind('\n', end);
  return ": " + heard_.substr(before + 1, end - before);
}

thread_team::thread_team(std::size_t threads) {
  auto* registry = ggml_backend_reg_by_name("CPU");
  const auto make = reinterpret_cast<decltype(&ggml_threadpool_new)>(
      registry ? ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_new") : nullptr);
  auto parameters = ggml_threadpool_params_default(static_cast<int>(threads));
  // A step ends with the lease of its threads: nobody may spin until the next one.
  parameters.poll = 0;
  if (make)
    team_ = make(&parameters);
}

thread_team::~thread_team() {
  auto* registry = ggml_backend_reg_by_name("CPU");
  if (team_)
    reinterpret_cast<decltype(&ggml_threadpool_free)>(
        ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_free"))(team_);
}

void thread_team::attach_to(llama_context& context) {
  if (team_)
    llama_attach_threadpool(&context, team_, nullptr);
}

expected<std::vector<runtime_device>> devices() {
  if (auto ready = start(); !ready)
    return ready.error();
  std::vector<runtime_device> result;
  for (std::size_t i = 0; i != ggml_backend_dev_count(); ++i) {
    auto* device = ggml_backend_dev_get(i);
    if (computes_alone(device))
      result.push_back({"llama.cpp", "", ggml_backend_dev_name(device), ggml_backend_dev_description(device)});
  }
  return result;
}

expected<model_ptr> load(const model_settings& settings, const cancel_token& token) {
  if (auto ready = start(); !ready)
    return ready.error();
  const auto weights = settings.files.find("weights");
  if (weights == settings.files.end())
    return make_error(status_code::not_found, "model '" + settings.name + "' names no file in the role 'weights'",
                      "name a GGUF file in [files] of its model.toml");
  auto on = device_list(settings.device);
  if (!on)
    return on.error();
  auto parameters = llama_model_default_params();
  parameters.devices = on->data();
  parameters.n_gpu_layers = settings.device == "CPU" ? 0 : std::numeric_limits<std::int32_t>::max();
  parameters.load_mode = LLAMA_LOAD_MODE_NONE;
  parameters.check_tensors = true;
  parameters.progress_callback_user_data = const_cast<cancel_token*>(&token);
  parameters.progress_callback = [](float, void* wanted) {
    return !static_cast<const cancel_token*>(wanted)->cancelled();
  };
  const listener complaining;
  model_ptr model{llama_model_load_from_file(weights->second.c_str(), parameters)};
  if (token.cancelled())
    return token.reason();
  if (!model)
    return make_error(status_code::invalid_argument,
                      "llama.cpp can't load " + weights->second.string() + complaining.last(),
                      "use a whole GGUF file of an architecture that it knows");
  return model;
}

tokens tokenize(const llama_vocab& vocabulary, std::string_view text, bool with_begin, bool control) {
  tokens result(text.size() + 2);
  const auto count = llama_tokenize(&vocabulary, text.data(), static_cast<std::int32_t>(text.size()), result.data(),
                                    static_cast<std::int32_t>(result.size()), with_begin, control);
  result.resize(static_cast<std::size_t>(std::max(count, 0)));
  return result;
}

std::string piece(const llama_vocab& vocabulary, llama_token token, bool control) {
  std::string result(64, '\0');
  for (;;) {
    const auto size =
        llama_token_to_piece(&vocabulary, token, result.data(), static_cast<std::int32_t>(result.size()), 0, control);
    if (size >= 0) {
      result.resize(static_cast<std::size_t>(size));
      return result;
    }
    result.resize(static_cast<std::size_t>(-size));
  }
}

std::vector<std::string> control_words(const llama_vocab& vocabulary) {
  std::vector<std::string> words;
  for (llama_token token = 0; token != llama_vocab_n_tokens(&vocabulary); ++token)
    if (const auto kind = llama_vocab_get_attr(&vocabulary, token);
        (kind & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0)
      if (auto word = piece(vocabulary, token, true); !word.empty())
        words.push_back(std::move(word));
  return words;
}

tokens end_tokens(const llama_vocab& vocabulary) {
  tokens result;
  for (llama_token token = 0; token != llama_vocab_n_tokens(&vocabulary); ++token)
    if (llama_vocab_is_eog(&vocabulary, token))
      result.push_back(token);
  return result;
}

}  // namespace troupe::llama
