/// A host that behaves as its one argument says, for the tests of those who have to bear it: well, or badly in one way.

#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/host_server.hpp"
#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/testing.hpp"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace troupe {

namespace wire = host::v1;

constexpr int node_socket = 3;

namespace {

class fixture {
 public:
  explicit fixture(std::string mode) : mode_(std::move(mode)) {}

  int run() {
    std::fprintf(stderr, "fixture: %s\n", mode_.c_str());
    if (is("never says hello"))
      return wait_for_ever();
    if (is("exits at once"))
      return 0;
    if (is("says garbage")) {
      static_cast<void>(::write(node_socket, "HTTP/1.1 200 OK\r\n\r\n", 19));
      return wait_for_ever();
    }
    say_hello();
    for (wire::ToHost asked; in_.read(asked);)
      if (asked.has_load())
        load();
      else if (asked.has_run())
        work(asked.run());
    return 0;
  }

 private:
  bool is(const char* mode) const { return mode_ == mode; }

  static int wait_for_ever() {
    for (;;)
      pause();
  }

  /// Whatever a sanitizer thinks of it.
  static void crash(int signal) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }

  void say(const wire::FromHost& what) {
    if (!out_.write(what))
      std::exit(0);
  }

  void say_hello() {
    wire::FromHost hello;
    hello.mutable_hello()->set_contract(is("speaks another contract") ? 99 : 1);
    hello.mutable_hello()->set_name("fixture");
    hello.mutable_hello()->set_platform("test");
    say(hello);
  }

  void load() {
    if (is("crashes in load"))
      crash(SIGSEGV);
    if (is("never loads"))
      wait_for_ever();
    wire::FromHost answer;
    if (is("can't load")) {
      host::to_wire(make_error(status_code::data_loss, "no such layer"), *answer.mutable_load_failed());
      return say(answer);
    }
    auto& loaded = *answer.mutable_loaded();
    host::to_wire(signature{{{"in", datatype::fp32, {-1}}}, {{"out", datatype::fp32, {-1}}}, true},
                  *loaded.mutable_signature());
    host::to_wire(batch_policy{{.items = 8}}, loaded);
    add_tensor("in", *loaded.mutable_warm_up()->add_inputs());
    say(answer);
  }

  static void add_tensor(const char* name, wire::Tensor& to) {
    to.set_name(name);
    to.set_datatype("FP32");
    to.add_shape(1);
    to.set_data(std::string(4, '\1'));
  }

  void work(const wire::Run& batch) {
    // The first batch is the warm-up.
    if (batches_++ > 0)
      misbehave();
    while (batches_ > 1 && is("answers without end"))
      answer(0, batch.items(0), false);
    for (int i = 0; i != batch.items_size(); ++i) {
      if (batches_ > 1 && is("takes its time"))
        std::this_thread::sleep_for(std::chrono::milliseconds{400});
      answer(static_cast<std::uint32_t>(i), batch.items(i));
    }
    if (batches_ > 1 && is("answers twice"))
      answer(0, batch.items(0));
    wire::FromHost done;
    done.mutable_done();
    say(done);
  }

  void misbehave() const {
    if (is("crashes"))
      crash(SIGSEGV);
    if (is("aborts"))
      crash(SIGABRT);
    if (is("exits"))
      std::_Exit(0);
    if (is("ignores being asked to end"))
      std::signal(SIGTERM, SIG_IGN);
    if (is("ignores cancellation") || is("ignores being asked to end"))
      wait_for_ever();
    if (is("announces more than it sends")) {
      static_cast<void>(::write(node_socket, "\x00\x01\x00\x00 and that is all", 21));
      wait_for_ever();
    }
    if (is("closes its socket")) {
      close(node_socket);
      wait_for_ever();
    }
    if (is("leaves a child")) {
      if (fork() == 0)
        wait_for_ever();
      std::_Exit(3);
    }
    if (is("floods"))
      for (int i = 0; i != 1 << 20; ++i)
        std::puts("nothing to see here, but a lot of it");
  }

  void answer(std::uint32_t item, const wire::Request& request, bool last = true) {
    wire::FromHost said;
    auto& answer = *said.mutable_answer();
    answer.set_item(batches_ > 1 && is("answers what was not asked") ? 77 : item);
    answer.set_last(last);
    auto& output = *answer.mutable_response()->add_outputs();
    output = request.inputs(0);
    output.set_name("out");
    if (batches_ > 1 && is("gives wrong shapes"))
      output.add_shape(1000);
    say(said);
  }

  const std::string mode_;
  frame_writer out_{node_socket};
  frame_reader in_{node_socket};
  int batches_ = 0;
};

}  // namespace
}  // namespace troupe

int main(int count, char** arguments) {
  if (count > 1 && std::string{arguments[1]} == "counts") {
    troupe::testing_support::counting_skillset skills;
    troupe::host_server server{troupe::node_socket};
    return static_cast<int>(server.serve(skills));
  }
  return troupe::fixture{count > 1 ? arguments[1] : "behaves"}.run();
}
