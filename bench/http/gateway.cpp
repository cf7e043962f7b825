// The node's HTTP server with one route, which answers with what it was sent. It says where it listens, and ends with
// SIGTERM.

#include "actors/concurrency/log.hpp"
#include "actors/gateway/http/http_gateway.hpp"
#include "actors/supervision/supervisor.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <csignal>
#include <iostream>
#include <utility>

namespace {

boost::asio::awaitable<void> echo(troupe::http_exchange& with) {
  troupe::http_response answer;
  answer.fields.set(boost::beast::http::field::content_type, "application/json");
  answer.body = with.request().body;
  (void)co_await with.respond(std::move(answer));
}

}  // namespace

int main() {
  // Before there are threads, which inherit the mask: only sigwait sees the signal.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  troupe::start_log(troupe::log_format::text, spdlog::level::off);
  troupe::route_table routes;
  routes.add("POST", "/echo", echo);
  troupe::http_settings settings;
  settings.listen = "127.0.0.1:0";
  settings.threads = 1;
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  const auto gateway =
      troupe::spawn_http_gateway(system, settings, std::move(routes), std::make_shared<troupe::http_metrics>(), {},
                                 [](const std::string& address) { std::cout << address << std::endl; });
  int code = 0;
  self->request(gateway, caf::infinite, troupe::start_atom::value).receive([] {}, [&](const caf::error&) { code = 1; });
  int signal = 0;
  if (code == 0)
    sigwait(&stop, &signal);
  self->send_exit(gateway, caf::exit_reason::user_shutdown);
  self->wait_for(gateway);
  return code;
}
