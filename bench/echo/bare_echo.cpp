// The limit that the node's identity model is compared with: the same service, the same proto and the same gRPC
// callback API, and nothing between the wire and the answer. No validation, no queue, no model.

#include "inference/grpc_service.grpc.pb.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <grpcpp/grpcpp.h>

namespace {

/// Answers on the gRPC thread that read the request.
class bare_echo final : public inference::GRPCInferenceService::CallbackService {
 public:
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const inference::ModelInferRequest* request,
                                       inference::ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    response->set_id(request->id());
    for (const auto& input : request->inputs()) {
      auto* output = response->add_outputs();
      output->set_name(input.name());
      output->set_datatype(input.datatype());
      *output->mutable_shape() = input.shape();
    }
    *response->mutable_raw_output_contents() = request->raw_input_contents();
    return answer(context);
  }

  grpc::ServerUnaryReactor* ServerReady(grpc::CallbackServerContext* context, const inference::ServerReadyRequest*,
                                        inference::ServerReadyResponse* response) override {
    response->set_ready(true);
    return answer(context);
  }

 private:
  static grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

/// Makes `file` appear all at once, so that whoever waits for it never reads half a line. False, with errno, when it
/// can't be written.
bool write_ready_file(const std::string& file, const std::string& address) {
  const auto draft = file + ".new";
  auto* out = std::fopen(draft.c_str(), "w");
  if (out == nullptr) {
    return false;
  }
  std::fprintf(out, "{\"grpc\":\"%s\"}\n", address.c_str());
  return std::fclose(out) == 0 && std::rename(draft.c_str(), file.c_str()) == 0;
}

struct options {
  std::string listen = "127.0.0.1:0";
  std::string ready_file;
};

options parse(int argc, char** argv) {
  static const option known[] = {
      {"listen", required_argument, nullptr, 'l'}, {"ready-file", required_argument, nullptr, 'r'}, {}};
  options result;
  for (int name; (name = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (name) {
      case 'l':
        result.listen = optarg;
        break;
      case 'r':
        result.ready_file = optarg;
        break;
      default:
        std::exit(2);
    }
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const auto opts = parse(argc, argv);
  // Blocked before gRPC starts its threads, which inherit the mask: only sigwait sees the signal.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  bare_echo service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(opts.listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "bench_bare_echo: cannot listen on %s\n", opts.listen.c_str());
    return 1;
  }
  const auto address = opts.listen.substr(0, opts.listen.rfind(':') + 1) + std::to_string(port);
  if (!opts.ready_file.empty() && !write_ready_file(opts.ready_file, address)) {
    std::perror(opts.ready_file.c_str());
    return 1;
  }
  int signal = 0;
  sigwait(&stop, &signal);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}
