#include "bench/echo/start.hpp"

#include "inference/grpc_service.grpc.pb.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include <grpcpp/grpcpp.h>

extern char** environ;

namespace troupe::bench {

namespace {

using inference::GRPCInferenceService;
using steady_clock = std::chrono::steady_clock;

pid_t spawn(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& word : command) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  pid_t child = 0;
  // Standard output is the measurement's; what the server has to say goes where errors go.
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  const auto failed = posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) {
    throw std::runtime_error("cannot start " + command[0]);
  }
  return child;
}

/// The address in the line {"grpc":"ADDRESS",…}, or nothing while the file is not there.
std::string read_address(const std::string& ready_file) {
  std::ifstream in{ready_file};
  std::string line;
  std::getline(in, line);
  const std::string key = "\"grpc\"";
  auto at = line.find(key);
  if (at == std::string::npos) {
    return {};
  }
  at = line.find('"', at + key.size()) + 1;
  return line.substr(at, line.find('"', at) - at);
}

bool says_ready(GRPCInferenceService::Stub& stub) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  inference::ServerReadyResponse response;
  return stub.ServerReady(&context, {}, &response).ok() && response.ready();
}

enum class outcome { ready, exited, too_late };

outcome wait_until_ready(pid_t server, const std::string& ready_file, steady_clock::time_point until) {
  std::unique_ptr<GRPCInferenceService::Stub> stub;
  while (steady_clock::now() < until) {
    if (waitpid(server, nullptr, WNOHANG) != 0) {
      return outcome::exited;
    }
    if (stub == nullptr) {
      if (const auto address = read_address(ready_file); !address.empty()) {
        stub = GRPCInferenceService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
      }
    }
    if (stub != nullptr && says_ready(*stub)) {
      return outcome::ready;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return outcome::too_late;
}

/// Sends `signal` and returns how the process ended, as waitpid tells it.
int end(pid_t server, int signal) {
  int status = 0;
  kill(server, signal);
  waitpid(server, &status, 0);
  return status;
}

}  // namespace

std::chrono::nanoseconds time_start(const std::vector<std::string>& command, const std::string& ready_file,
                                    std::chrono::seconds limit) {
  // What the client itself needs to start must not count.
  grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials());
  unlink(ready_file.c_str());
  const auto begin = steady_clock::now();
  const auto server = spawn(command);
  const auto result = wait_until_ready(server, ready_file, begin + limit);
  const auto took = steady_clock::now() - begin;
  if (result == outcome::exited) {
    throw std::runtime_error(command[0] + " exited before it was ready");
  }
  const auto status = end(server, result == outcome::ready ? SIGTERM : SIGKILL);
  if (result == outcome::too_late) {
    throw std::runtime_error(command[0] + " was not ready in time");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(command[0] + " did not end with 0 after SIGTERM");
  }
  return took;
}

}  // namespace troupe::bench
