#include "actors/gateway/http/http_server.hpp"

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/log.hpp"
#include "actors/concurrency/sleep.hpp"
#include "actors/gateway/http/http_connection.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>
#include <utility>

namespace troupe {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

/// What waits to be accepted must not be accepted again and again when there are no descriptors left.
constexpr std::chrono::milliseconds between_tries{100};

const std::string& too_many_connections() {
  static const auto answer = [] {
    const std::string body = R"({"error":"RESOURCE_EXHAUSTED: the node has as many connections as it may have"})";
    return "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }();
  return answer;
}

error cannot_listen(const std::string& address) {
  return make_error(status_code::unavailable, "cannot listen on '" + address + "'",
                    "check that it is host:port and that no other program uses the port");
}

/// As many as wanted, or as there are descriptors for, with what the rest of the process needs.
std::size_t possible_connections(std::size_t wanted) {
  constexpr std::size_t for_others = 256;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
    return wanted;
  const std::size_t open = files.rlim_cur;
  const auto possible = std::max(open / 2, open - std::min(open, for_others));
  if (possible < wanted)
    log_event(spdlog::level::warn, "fewer connections than wanted, because the process may not have more open files",
              {{"gateway", "http"}, {"wanted", wanted}, {"possible", possible}});
  return std::min(wanted, possible);
}

std::string to_string(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(endpoint.port());
}

}  // namespace

/// A thread, and the connections that it serves.
struct http_server::loop {
  loop() : context(1), busy(context.get_executor()) {}

  /// Everything ends of itself once the sockets are closed, but for handlers that wait for something else.
  void stop_when_ended() {
    if (stopping && std::all_of(connections.begin(), connections.end(), [](const auto* one) { return one->working(); }))
      context.stop();
  }

  asio::awaitable<void> serve(std::shared_ptr<http_connection> connection) {
    struct entry {
      entry(loop& l, http_connection& c) : of(l), one(c) { of.connections.insert(&one); }
      ~entry() { of.connections.erase(&one); }
      entry(const entry&) = delete;
      entry& operator=(const entry&) = delete;
      loop& of;
      http_connection& one;
    };
    {
      const entry here{*this, *connection};
      co_await connection->run();
    }
    stop_when_ended();
  }

  std::set<http_connection*> connections;  // before the context, with which the last of them may go
  bool stopping = false;
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> busy;
  std::thread thread;
};

http_server::http_server(std::shared_ptr<http_context> context)
    : context_(std::move(context)), most_connections_(possible_connections(context_->settings.limits.connections)) {}

expected<std::unique_ptr<http_server>> http_server::start(std::shared_ptr<http_context> context) {
  std::unique_ptr<http_server> server{new http_server{std::move(context)}};
  for (std::size_t i = 0; i != server->context_->settings.threads; ++i)
    server->loops_.push_back(std::make_unique<loop>());
  if (const auto listening = server->listen(); !listening)
    return listening.error();
  asio::co_spawn(server->loops_.front()->context, server->accept(), asio::detached);
  // Signals are for the threads that wait for them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (auto& each : server->loops_)
    each->thread = std::thread{[&each = *each] {
      pthread_setname_np(pthread_self(), "http");
      each.context.run();
    }};
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return server;
}

http_server::~http_server() {
  for (auto& each : loops_)
    asio::post(each->context, [this, &each = *each] {
      if (acceptor_ && &each == loops_.front().get())
        acceptor_->close();
      each.stopping = true;
      for (auto* connection : each.connections)
        connection->close();
      each.stop_when_ended();
    });
  for (auto& each : loops_)
    if (each->thread.joinable())
      each->thread.join();
}

expected<void> http_server::listen() {
  const auto endpoint = resolve_listen(context_->settings.listen);
  if (!endpoint)
    return endpoint.error();
  boost::system::error_code failed;
  acceptor_ = std::make_unique<tcp::acceptor>(loops_.front()->context);
  acceptor_->open(endpoint->protocol(), failed);
  if (!failed)
    acceptor_->set_option(tcp::acceptor::reuse_address{true}, failed);
  if (!failed)
    acceptor_->bind(*endpoint, failed);
  if (!failed)
    acceptor_->listen(asio::socket_base::max_listen_connections, failed);
  if (failed)
    return cannot_listen(context_->settings.listen);
  address_ = to_string(acceptor_->local_endpoint());
  return {};
}

asio::awaitable<void> http_server::accept() {
  bool told = false;
  for (std::size_t next = 0;; next = (next + 1) % loops_.size()) {
    auto& on = *loops_[next];
    auto [failed, socket] = co_await acceptor_->async_accept(on.context, asio::as_tuple(asio::use_awaitable));
    if (!acceptor_->is_open())
      co_return;
    if (!failed) {
      told = false;
      serve(std::move(socket), on);
      continue;
    }
    if (failed == asio::error::connection_aborted)
      continue;
    if (!std::exchange(told, true))
      log_event(spdlog::level::err, "connections can't be accepted",
                {{"gateway", "http"}, {"reason", failed.message()}});
    const auto token = context_->scope.token();
    if (!co_await async(sleep_for(between_tries, token), token, asio::use_awaitable))
      co_return;
  }
}

void http_server::serve(tcp::socket socket, loop& on) {
  if (context_->connections.fetch_add(1) >= most_connections_) {
    --context_->connections;
    return refuse(std::move(socket));
  }
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay{true}, ignored);
  auto connection = std::shared_ptr<http_connection>(new http_connection{std::move(socket), context_},
                                                     [context = context_](http_connection* ended) {
                                                       delete ended;
                                                       --context->connections;
                                                     });
  asio::co_spawn(on.context, on.serve(std::move(connection)), asio::detached);
}

/// Tells a client that it is one too many, as far as that can be done without waiting.
void http_server::refuse(tcp::socket socket) {
  context_->counts->connection_refused();
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  if (!context_->tls)
    socket.write_some(asio::buffer(too_many_connections()), ignored);
  socket.close(ignored);
}

void http_server::drain() {
  asio::post(loops_.front()->context, [this] { acceptor_->close(); });
  for (auto& each : loops_)
    asio::post(each->context, [&each = *each] {
      for (auto* connection : each.connections)
        connection->drain();
    });
}

expected<tcp::endpoint> resolve_listen(const std::string& listen) {
  const auto colon = listen.rfind(':');
  const auto port = colon == std::string::npos ? std::string{} : listen.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535)
    return cannot_listen(listen);
  auto host = listen.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  asio::io_context context;
  boost::system::error_code failed;
  const auto found = tcp::resolver{context}.resolve(host, port, tcp::resolver::passive, failed);
  if (failed || found.empty() || host.empty())
    return cannot_listen(listen);
  return found.begin()->endpoint();
}

}  // namespace troupe
