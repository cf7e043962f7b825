#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/fields.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace troupe {

/// Header fields, whose names are looked up without regard to case.
using http_fields = boost::beast::http::fields;

/// A request, read wholly, within the limits of the server.
struct http_request {
  std::string method;      ///< such as `GET`; for HEAD, too, which the handler of GET answers
  std::string path;        ///< percent-decoded, without the query
  std::string query;       ///< as it came, without the question mark
  http_fields fields;      ///< as they came
  std::string body;        ///< without its chunks
  std::string id;          ///< the client's `x-request-id` where it is a sane one, and otherwise made up
  std::string peer;        ///< address of the client, without the port
  std::uint64_t client{};  ///< whom queues share their room by: the number of the API key, or of the peer's address
  std::map<std::string, std::string>
      captures;  ///< by name, percent-decoded: what stood in place of the route's `{name}`s
};

/// An answer in one piece. The server adds Content-Length, Date, x-request-id and what the connection needs.
struct http_response {
  int status = 200;
  http_fields fields;
  std::string body;
};

/// One request on its way. Its handler answers it exactly once: by `respond`, or by `begin`, any number of `write`s,
/// and `end`. All of it on the strand of the connection, so that a handler needs no locks; whoever else has something
/// for it, such as a model's thread, sends that through a mailbox stream. Lives until the handler returns.
///
/// An operation that fails says why the client can't be answered any more, as `token()` does from then on; a second
/// answer is FAILED_PRECONDITION. A handler that has been told so tidies up and returns.
///
/// GCC 12 destroys twice what is made with braces within a `co_await` expression: name answers and fields before.
class http_exchange {
 public:
  virtual ~http_exchange() = default;
  http_exchange(const http_exchange&) = delete;
  http_exchange& operator=(const http_exchange&) = delete;

  virtual const http_request& request() const noexcept = 0;

  /// Cancelled when nobody waits for the answer any more: the client has gone, which is noticed while the handler
  /// works, it reads too slowly, or the node stops.
  virtual cancel_token token() const noexcept = 0;

  /// Answers the request.
  virtual boost::asio::awaitable<expected<void>> respond(http_response answer) = 0;

  /// Begins an answer whose length is not known, such as `text/event-stream`: chunked, or up to the end of the
  /// connection for a client of HTTP/1.0.
  virtual boost::asio::awaitable<expected<void>> begin(int status, http_fields fields) = 0;

  /// Sends `bytes` at once. Waits for a slow reader, and cuts it off where it is too slow.
  virtual boost::asio::awaitable<expected<void>> write(std::string_view bytes) = 0;

  /// Ends an answer that was begun.
  virtual boost::asio::awaitable<expected<void>> end() = 0;

 protected:
  http_exchange() = default;
};

/// What answers the requests of a route. Has answered when it returns. One that returns without an answer, or throws,
/// is logged; its client gets a 500, or where the answer was begun sees it break off.
using http_handler = std::function<boost::asio::awaitable<void>(http_exchange&)>;

/// The answer that says `why` a request gets `status`, in the words of an API: its body and Content-Type. The server
/// adds what HTTP wants of that status, such as `Retry-After`. Of a request that could not be read `asked` has what was
/// read of it.
using http_error_form = std::function<http_response(int status, const error& why, const http_request& asked)>;

}  // namespace troupe
