// Asks an HTTP server over and over, each connection as soon as it has its answer, and prints what that took as JSON.
// Ends with 1 when an answer is not what was sent.

#include "apps/troupe/process_time.hpp"

#include <getopt.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using namespace std::chrono;

struct options {
  std::string host, port;
  pid_t server = 0;
  int connections = 1;
  int body = 100;
  milliseconds warm_up{300}, window{1000};
};

struct run {
  const options how;
  bool counts = false;
  bool over = false;
  bool wrong = false;
  std::vector<double> latencies_us = {};
};

asio::awaitable<void> ask(run& all, tcp::endpoint to) {
  try {
    tcp::socket socket{co_await asio::this_coro::executor};
    co_await socket.async_connect(to, asio::use_awaitable);
    socket.set_option(tcp::no_delay{true});
    http::request<http::string_body> request{http::verb::post, "/echo", 11};
    request.set(http::field::host, "bench");
    request.set(http::field::user_agent, "bench/http");
    request.set(http::field::accept, "application/json");
    request.set(http::field::content_type, "application/json");
    request.body() = std::string(static_cast<std::size_t>(all.how.body), 'x');
    request.prepare_payload();
    boost::beast::flat_buffer buffer;
    while (!all.over) {
      const auto began = steady_clock::now();
      co_await http::async_write(socket, request, asio::use_awaitable);
      http::response<http::string_body> response;
      co_await http::async_read(socket, buffer, response, asio::use_awaitable);
      all.wrong |= response.result() != http::status::ok || response.body() != request.body();
      if (all.counts)
        all.latencies_us.push_back(duration<double, std::micro>{steady_clock::now() - began}.count());
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_http_load: %s\n", e.what());
    all.wrong = true;
  }
}

/// CPU time of a process, in microseconds.
double cpu_us(pid_t process) {
  return duration<double, std::micro>{troupe::cpu_time_of(process).value_or(nanoseconds{})}.count();
}

asio::awaitable<void> measure(run& all) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  timer.expires_after(all.how.warm_up);
  co_await timer.async_wait(asio::use_awaitable);
  const auto began = steady_clock::now();
  const auto cpu = cpu_us(all.how.server);
  all.counts = true;
  timer.expires_after(all.how.window);
  co_await timer.async_wait(asio::use_awaitable);
  all.counts = false;
  all.over = true;
  const auto spent = cpu_us(all.how.server) - cpu;
  const auto seconds = duration<double>{steady_clock::now() - began}.count();
  auto& times = all.latencies_us;
  if (times.empty()) {
    all.wrong = true;
    co_return;
  }
  std::sort(times.begin(), times.end());
  const auto count = static_cast<double>(times.size());
  std::printf("{\"requests\":%zu,\"requests_per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us\":%.3f}\n",
              times.size(), count / seconds, times[times.size() / 2], times[times.size() * 99 / 100], spent / count);
}

options parse(int argc, char** argv) {
  static const option known[] = {{"target", required_argument, nullptr, 't'},
                                 {"pid", required_argument, nullptr, 'p'},
                                 {"connections", required_argument, nullptr, 'c'},
                                 {"body", required_argument, nullptr, 'b'},
                                 {"warm-up", required_argument, nullptr, 'u'},
                                 {"window", required_argument, nullptr, 'w'},
                                 {}};
  options result;
  for (int name; (name = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    const std::string value = optarg ? optarg : "";
    switch (name) {
      case 't':
        result.host = value.substr(0, value.rfind(':'));
        result.port = value.substr(value.rfind(':') + 1);
        break;
      case 'p':
        result.server = std::atoi(value.c_str());
        break;
      case 'c':
        result.connections = std::atoi(value.c_str());
        break;
      case 'b':
        result.body = std::atoi(value.c_str());
        break;
      case 'u':
        result.warm_up = milliseconds{std::atoi(value.c_str())};
        break;
      case 'w':
        result.window = milliseconds{std::atoi(value.c_str())};
        break;
      default:
        std::exit(2);
    }
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  run all{parse(argc, argv)};
  asio::io_context context{1};
  const tcp::endpoint to{asio::ip::make_address(all.how.host), static_cast<unsigned short>(std::stoi(all.how.port))};
  for (int i = 0; i != all.how.connections; ++i)
    asio::co_spawn(context, ask(all, to), asio::detached);
  asio::co_spawn(context, measure(all), asio::detached);
  context.run();
  return all.wrong ? 1 : 0;
}
