#include "bench/echo/client.hpp"

#include "apps/troupe/process_time.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include <grpcpp/grpcpp.h>

namespace troupe::bench {

using inference::ModelInferRequest;

namespace {

double own_cpu_seconds(pid_t process) {
  const auto time = cpu_time_of(process);
  if (!time) {
    throw std::runtime_error("cannot read the CPU time of process " + std::to_string(process));
  }
  return std::chrono::duration<double>{*time}.count();
}

}  // namespace

std::unique_ptr<stub> connect(const std::string& target, int number) {
  // Channels of equal arguments would share one connection.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt("troupe.bench.connection", number);
  return inference::GRPCInferenceService::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

ModelInferRequest make_request() {
  constexpr int elements = 16;
  ModelInferRequest result;
  result.set_model_name("identity");
  auto* input = result.add_inputs();
  input->set_name("input");
  input->set_datatype("FP32");
  input->add_shape(1);
  input->add_shape(elements);
  std::array<float, elements> values{};
  for (int i = 0; i < elements; ++i) {
    values[i] = 0.5f + static_cast<float>(i);
  }
  result.add_raw_input_contents(values.data(), sizeof(values));
  return result;
}

ModelInferRequest make_request(const std::string& model, const std::vector<std::string>& texts) {
  ModelInferRequest result;
  result.set_model_name(model);
  auto* input = result.add_inputs();
  input->set_name("text");
  input->set_datatype("BYTES");
  input->add_shape(static_cast<std::int64_t>(texts.size()));
  std::string raw;
  for (const auto& text : texts) {
    const auto size = static_cast<std::uint32_t>(text.size());
    raw.append(reinterpret_cast<const char*>(&size), sizeof size);
    raw += text;
  }
  result.add_raw_input_contents(std::move(raw));
  return result;
}

std::vector<ModelInferRequest> make_requests(const std::string& model, const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return {make_request()};
  }
  std::vector<ModelInferRequest> result;
  for (const auto& text : texts) {
    result.push_back(make_request(model, std::vector{text}));
  }
  return result;
}

double cpu_seconds(pid_t process) {
  if (process == 0) {
    return 0;
  }
  auto sum = own_cpu_seconds(process);
  for (const auto child : children_of(process)) {
    sum += own_cpu_seconds(child);
  }
  return sum;
}

double percentile(std::vector<std::uint64_t>& nanoseconds, double share) {
  if (nanoseconds.empty()) {
    return 0;
  }
  const auto nth =
      nanoseconds.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(nanoseconds.size() - 1));
  std::nth_element(nanoseconds.begin(), nth, nanoseconds.end());
  return static_cast<double>(*nth) * 1e-3;
}

}  // namespace troupe::bench
