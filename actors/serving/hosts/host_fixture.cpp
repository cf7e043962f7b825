/// A host that behaves as its one argument says, for the tests of those who have to bear it: well, or badly in one way.

#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/host_server.hpp"
#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/testing.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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
    for (auto asked = next(); asked; asked = next())
      if (asked->has_load())
        load();
      else if (asked->has_run() && shares_)
        share(asked, in_.take_files());
      else if (asked->has_run())
        work(asked->run());
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

  /// Null: the node is gone.
  std::shared_ptr<const wire::ToHost> next() {
    auto message = std::make_shared<wire::ToHost>();
    if (!in_.read(*message))
      return nullptr;
    if (!segments_.heed(host::from_wire(message->segments())) && !is("shares and changes it"))
      std::exit(77);
    return message;
  }

  void say(const wire::FromHost& what, attachments files = {}) {
    if (!out_.write(what, std::move(files)))
      std::exit(0);
  }

  void say_hello() {
    wire::FromHost hello;
    hello.mutable_hello()->set_contract(is("speaks another contract") ? 99 : 1);
    hello.mutable_hello()->set_name("fixture");
    hello.mutable_hello()->set_platform("test");
    hello.mutable_hello()->set_attachments(shares_);
    hello.mutable_hello()->set_segments(shares_);
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

  // -- with tensors in segments

  /// Answers every request with its input.
  void share(const std::shared_ptr<const wire::ToHost>& asked, const attachments& files) {
    for (int i = 0; i != asked->run().items_size(); ++i) {
      auto request = host::from_wire(asked->run().items(i), asked, files, &segments_.others);
      if (!request)
        std::exit(78);
      if (is("shares and never releases"))
        kept_.push_back(request->inputs[0].data);
      wire::FromHost said;
      said.mutable_answer()->set_item(static_cast<std::uint32_t>(i));
      said.mutable_answer()->set_last(true);
      auto& outputs = *said.mutable_answer()->mutable_response();
      attachments out{&segments_.own};
      request->inputs[0].name = "out";
      if (!host::to_wire(inference_response{std::move(request->inputs), {}}, outputs, &out))
        std::exit(79);
      if (outputs.outputs(0).has_segment())
        misuse(*outputs.mutable_outputs(0), out);
      host::tell(segments_, said);
      if (is("shares and releases twice"))
        for (const auto number : host::from_wire(said.segments()).released)
          said.mutable_segments()->add_released(number);
      say(said, std::move(out));
    }
    request_done();
  }

  void request_done() {
    wire::FromHost done;
    done.mutable_done();
    host::tell(segments_, done);
    auto& notes = *done.mutable_segments();
    if (is("shares and releases what it hasn't got"))
      notes.add_released(99);
    if (is("shares and returns what it hasn't released"))
      notes.add_returned(99);
    if (is("shares and drops what is looked at") && last_segment_ > 0)
      notes.add_dropped(last_segment_);
    say(done);
  }

  void misuse(wire::Tensor& output, attachments& out) {
    if (is("shares BYTES"))
      output.set_datatype("BYTES");
    if (is("shares without a file"))
      output.clear_attachment();
    if (is("shares and doesn't wait") && last_segment_ > 0) {
      output.set_segment(last_segment_);
      output.clear_attachment();
    }
    last_segment_ = output.segment();
    if (is("shares what can be made shorter"))
      replace(output, out, output.attached_bytes(), F_SEAL_FUTURE_WRITE);
    if (is("shares more than it may"))
      replace(output, out, most_segment_bytes + 1, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK);
    if (is("shares and changes it"))
      change(output, out);
  }

  /// Another file in place of the right one.
  static int replace(wire::Tensor& output, attachments& out, std::size_t size, int seals) {
    const int file = memfd_create("fixture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    out = attachments{};
    out.adopt(file);
    output.set_attachment(0);
    if (ftruncate(file, static_cast<off_t>(size)) != 0 || fcntl(file, F_ADD_SEALS, seals) != 0)
      std::exit(80);
    return file;
  }

  /// Sends one of its own, again and again, and never stops writing into it.
  void change(wire::Tensor& output, attachments& out) {
    output.set_segment(1000);
    if (changing_.joinable()) {
      out = attachments{};
      output.clear_attachment();
      return;
    }
    const int file = replace(output, out, output.attached_bytes(), F_SEAL_SHRINK);
    auto memory = *mapping::make(file, output.attached_bytes(), mapping::kind::writable);
    static_cast<void>(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    changing_ = std::jthread{[memory](const std::stop_token& over) {
      for (unsigned char value = 0; !over.stop_requested(); ++value)
        std::memset(memory->begin(), value, memory->bytes().size());
    }};
  }

  const std::string mode_;
  const bool shares_ = mode_.starts_with("shares");
  shared_segments segments_;
  std::vector<buffer> kept_;
  std::uint32_t last_segment_ = 0;
  std::jthread changing_;
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
