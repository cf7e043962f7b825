#include "skillsets/sdk/host/host_server.hpp"

#include "skillsets/sdk/host/host_batch.hpp"
#include "skillsets/sdk/host/host_steps.hpp"
#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <iostream>
#include <new>
#include <utility>

namespace troupe {

using namespace host;

namespace {

/// In one piece, or a line of the plug-in could come between.
void say(const std::string& text) {
  std::cerr << "troupe-host: " + text + "\n" << std::flush;
}

/// What a function of the plug-in says, or what it threw as an error.
template <class Function>
auto contained(const char* what, Function function) -> decltype(function()) try {
  return function();
} catch (const std::bad_alloc&) {
  return make_error(status_code::resource_exhausted, std::string{what} + " failed: there is no memory left",
                    "let the model's process have more memory");
} catch (const std::exception& e) {
  return make_error(status_code::internal, std::string{what} + " failed: " + e.what());
} catch (...) {
  return make_error(status_code::internal, std::string{what} + " threw something that is no exception");
}

error broken_contract(std::string what) {
  return make_error(status_code::invalid_argument, "the node breaks the contract of host.proto: " + std::move(what),
                    "use a troupe-node and a troupe-host of the same version");
}

expected<wire::FromHost> hello_of(skillset& skills) {
  wire::FromHost message;
  auto& hello = *message.mutable_hello();
  hello.set_contract(host::contract);
  hello.set_name(std::string{skills.name()});
  hello.set_platform(std::string{skills.platform()});
  hello.set_attachments(true);
  hello.set_segments(true);
  hello.set_version(std::string{skills.version()});
  for (const auto& option : skills.options())
    to_wire(option, *hello.add_options());
  const auto devices = contained("asking for the devices", [&] { return skills.devices(); });
  if (!devices)
    say("devices unknown: " + to_string(devices.error()));
  else
    for (const auto& device : *devices)
      to_wire(device, *hello.add_devices());
  return message;
}

/// An instance that has answered its model's warm-up request.
expected<std::unique_ptr<instance>> make_warm(loaded_model& model, const cancel_token& token) {
  auto worker = model.make_instance();
  if (!worker)
    return worker;
  if (!*worker)
    return make_error(status_code::internal, "the skillset made no instance and no error");
  if (const auto answer = run_one(**worker, model.warm_up(), token); !answer)
    return make_error(answer.error().code, "the warm-up failed: " + answer.error().cause, answer.error().remedy);
  return worker;
}

expected<void> can_cross(const signature& what) {
  if (!what.stateful)
    return {};
  return make_error(status_code::unimplemented,
                    "the model is stateful, and the state of a sequence can't cross to a process of its own",
                    "set isolation = \"thread\" in its model.toml");
}

}  // namespace

// -- the conversation -------------------------------------------------------------------------------------------------

host_server::host_server(int socket, end_function end)
    : socket_(socket), end_(std::move(end)), writer_(socket), reader_([this] { read_all(); }), watcher_([this] {
        watch();
      }) {}

host_server::~host_server() {
  shutdown(socket_, SHUT_RDWR);
  reader_.join();
  watcher_.join();
}

void host_server::end_process(host_exit how) {
  _exit(static_cast<int>(how));
}

void host_server::end(host_exit how) noexcept {
  {
    const std::lock_guard lock{mutex_};
    if (over_)
      return;
    over_ = how;
  }
  changed_.notify_all();
  end_(how);
}

/// Calls nothing that could wait for a plug-in.
void host_server::watch() noexcept {
  pollfd closing{socket_, POLLRDHUP, 0};
  while (poll(&closing, 1, -1) < 0 && errno == EINTR) {
  }
  end(host_exit::ok);
}

void host_server::read_all() noexcept try {
  frame_reader reader{socket_};
  for (;;) {
    const auto message = std::make_shared<wire::ToHost>();
    if (const auto read = reader.read(*message); !read) {
      if (read.error().code == status_code::unavailable)
        return end(host_exit::ok);
      return fail(broken_contract(read.error().cause), host_exit::contract);
    }
    if (const auto taken = take(message, reader.take_files()); !taken)
      return fail(taken.error(), host_exit::contract);
  }
} catch (const std::exception& e) {
  fail(make_error(status_code::internal, std::string{"reading from the node failed: "} + e.what()),
       host_exit::internal);
}

void host_server::fail(const error& why, host_exit how) {
  say(to_string(why));
  end(how);
}

// -- what the node says, on the reader's thread -----------------------------------------------------------------------

expected<void> host_server::take(const std::shared_ptr<const wire::ToHost>& message, const attachments& files) {
  if (message->has_segments())
    if (const auto heeded = writer_.segments().heed(from_wire(message->segments())); !heeded)
      return broken_contract(heeded.error().cause);
  switch (message->what_case()) {
    case wire::ToHost::kLoad:
      return take_load(message);
    case wire::ToHost::kRun:
      return take_run(message, files);
    case wire::ToHost::kCancel:
      return take_cancel(message->cancel());
    case wire::ToHost::kAdmit:
      return take_admit(message, files);
    case wire::ToHost::kWork:
      return take_work(message->work());
    case wire::ToHost::kPause:
      return take_pause();
    case wire::ToHost::WHAT_NOT_SET:
      break;
  }
  return message->has_segments() ? expected<void>{} : broken_contract("a message that says nothing");
}

expected<void> host_server::take_load(const std::shared_ptr<const wire::ToHost>& message) {
  const std::lock_guard lock{mutex_};
  if (stage_ != stage::fresh)
    return broken_contract("a second Load");
  stage_ = stage::loading;
  writer_.allow(message->load().attachments(), message->load().segments());
  task_ = [this, message] { load(*skills_, message->load()); };
  changed_.notify_all();
  return {};
}

/// Whether the model can be asked for something of its style, which `what` is; under the lock.
expected<void> host_server::check_ready(const char* what, bool continuous) const {
  if (stage_ == stage::busy)
    return broken_contract(std::string{what} + " before the Done of the one before");
  if (stage_ != stage::ready)
    return broken_contract(std::string{what} + " without a Loaded before it");
  if (continuous != (steps_ != nullptr))
    return broken_contract(std::string{what} + " to a model that works on " + (steps_ ? "no batches" : "batches"));
  return {};
}

expected<void> host_server::take_run(const std::shared_ptr<const wire::ToHost>& message, const attachments& files) {
  auto batch = host_batch::make(message, files, writer_);
  if (!batch)
    return broken_contract(batch.error().cause);
  const std::lock_guard lock{mutex_};
  if (auto can = check_ready("a Run", false); !can)
    return can;
  stage_ = stage::busy;
  batch_ = *std::move(batch);
  task_ = [this, run = batch_]() mutable {
    const auto came_to = run->run(*worker_);
    run = nullptr;
    end_work(came_to);
  };
  changed_.notify_all();
  return {};
}

expected<void> host_server::take_admit(const std::shared_ptr<const wire::ToHost>& message, const attachments& files) {
  const std::lock_guard lock{mutex_};
  if (auto can = check_ready("an Admit", true); !can)
    return can;
  const auto admitted = steps_->admit(message, files);
  return admitted ? admitted : broken_contract(admitted.error().cause);
}

expected<void> host_server::take_work(const wire::Work& what) {
  const std::lock_guard lock{mutex_};
  if (auto can = check_ready("a Work", true); !can)
    return can;
  stage_ = stage::busy;
  steps_->begin();
  task_ = [this, most = std::chrono::milliseconds{what.most_ms()}] { end_work(steps_->work(most)); };
  changed_.notify_all();
  return {};
}

expected<void> host_server::take_pause() {
  const std::lock_guard lock{mutex_};
  if (steps_)
    steps_->pause();
  return {};
}

expected<void> host_server::take_cancel(const wire::Cancel& what) {
  std::shared_ptr<host_batch> batch;
  host_steps* steps = nullptr;
  {
    const std::lock_guard lock{mutex_};
    if (stage_ == stage::busy || stage_ == stage::ready)
      steps = steps_.get();
    if (stage_ == stage::busy)
      batch = batch_;
    else if (stage_ != stage::loading && !steps)
      return {};  // its Done was under way already
  }
  // Not under the lock: whoever watches the token is called from here.
  if (steps)
    return cancel_steps(*steps, what);
  if (!batch)
    load_scope_.cancel(make_error(status_code::cancelled, "the node takes the load back"));
  else if (!what.has_item())
    batch->cancel();
  else if (const auto cancelled = batch->cancel(what.item()); !cancelled)
    return broken_contract(cancelled.error().cause);
  return {};
}

/// What is taken back must not stay in until there is other work.
expected<void> host_server::cancel_steps(host_steps& steps, const wire::Cancel& what) {
  steps.cancel(what.has_item() ? std::optional{what.item()} : std::nullopt);
  const std::lock_guard lock{mutex_};
  if (stage_ == stage::ready && !task_) {
    task_ = [&steps] { steps.sweep(); };
    changed_.notify_all();
  }
  return {};
}

// -- what becomes of it, on the thread that serves --------------------------------------------------------------------

host_exit host_server::serve(skillset& skills) {
  skills_ = &skills;
  auto hello = contained("describing the skillset", [&] { return hello_of(skills); });
  if (!hello)
    fail(hello.error(), host_exit::internal);
  else if (const auto said = writer_.write(*hello); said)
    while (const auto task = next_task())
      task();
  return how_it_ended();
}

std::function<void()> host_server::next_task() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return over_ || task_; });
  return over_ ? nullptr : std::exchange(task_, nullptr);
}

host_exit host_server::how_it_ended() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return over_.has_value(); });
  return *over_;
}

/// Says what the node waits for. It may answer at once, so that what it may say next is settled before, and the
/// segments of the batch are free for what it will send.
expected<void> host_server::give(stage next, wire::FromHost& message) {
  std::shared_ptr<host_batch> over;
  {
    const std::lock_guard lock{mutex_};
    stage_ = next;
    over.swap(batch_);
  }
  over = nullptr;
  return writer_.write(message);
}

void host_server::load(skillset& skills, const wire::Load& what) {
  auto loaded = contained("loading the model", [&] { return make_ready(skills, what); });
  const auto given = loaded ? give(stage::ready, *loaded) : expected<void>{loaded.error()};
  if (given)
    return;
  wire::FromHost message;
  to_wire(given.error(), *message.mutable_load_failed());
  static_cast<void>(give(stage::failed, message));
}

expected<wire::FromHost> host_server::make_ready(skillset& skills, const wire::Load& what) {
  const auto settings = from_wire(what);
  if (!settings)
    return settings.error();
  auto model = skills.load(*settings, load_scope_.token());
  if (!model)
    return model.error();
  if (!*model)
    return make_error(status_code::internal, "the skillset made no model and no error");
  model_ = *std::move(model);
  if (const auto possible = can_cross(model_->describe()); !possible)
    return possible.error();
  auto worker = make_warm(*model_, load_scope_.token());
  if (!worker)
    return worker.error();
  worker_ = *std::move(worker);
  if (auto* engine = worker_->continuous()) {
    const std::lock_guard lock{mutex_};
    steps_ = std::make_unique<host_steps>(*engine, writer_);
  }
  wire::FromHost message;
  auto& loaded = *message.mutable_loaded();
  to_wire(model_->describe(), *loaded.mutable_signature());
  to_wire(model_->warm_up(), *loaded.mutable_warm_up());
  to_wire(model_->batching(), loaded);
  if (const auto* engine = worker_->continuous())
    loaded.set_capacity(static_cast<std::uint32_t>(engine->capacity()));
  return message;
}

void host_server::end_work(const expected<void>& came_to) {
  wire::FromHost message;
  auto& done = *message.mutable_done();
  if (!came_to)
    to_wire(came_to.error(), *done.mutable_failure());
  static_cast<void>(give(stage::ready, message));
}

}  // namespace troupe
