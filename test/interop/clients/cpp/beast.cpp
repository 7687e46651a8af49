#include <boost/asio.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>

#include "cases.hpp"

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = boost::asio::ip::tcp;

static boost::asio::io_context context;

struct Client : cases::Connection {
  websocket::stream<tcp::socket> stream{context};
  std::string pong;

  Client (const std::string &port, const std::string &path) {
    boost::asio::connect(stream.next_layer(), tcp::resolver(context).resolve("127.0.0.1", port));
    websocket::permessage_deflate deflate;
    // Of a message that is compressed, it sends nothing before there is much.
    deflate.client_enable = path != "/fragments";
    stream.set_option(deflate);
    stream.control_callback([this](websocket::frame_type type, beast::string_view data) {
      if (type == websocket::frame_type::pong) pong = std::string(data);
    });
    websocket::response_type response;
    // The synchronous handshake of this version keeps the response to itself if it is none.
    auto handshake = stream.async_handshake(response, "127.0.0.1:" + port, path, boost::asio::use_future);
    context.restart();
    context.run();
    try {
      handshake.get();
    } catch (const beast::system_error &error) {
      if (error.code() != websocket::error::upgrade_declined) throw;
      throw cases::Refused{response.result_int(), response.body()};
    }
  }

  void send (const cases::Message &message) override {
    stream.text(message.is_text);
    stream.write(boost::asio::buffer(message.data));
  }

  cases::Message next () override {
    beast::flat_buffer buffer;
    stream.read(buffer);
    return {stream.got_text(), beast::buffers_to_string(buffer.data())};
  }

  void send_fragments (const std::vector<std::string> &parts) override {
    stream.text(true);
    for (size_t i = 0; i < parts.size(); i++) stream.write_some(i == parts.size() - 1, boost::asio::buffer(parts[i]));
  }

  std::string ping (const std::string &data) override {
    stream.ping(websocket::ping_data(data));
    send({true, "after the Ping"});
    next();
    return pong;
  }

  void close (int code, const std::string &reason) override {
    stream.close(websocket::close_reason(static_cast<websocket::close_code>(code), reason));
  }

  cases::Closed closed () override {
    beast::flat_buffer buffer;
    beast::error_code error;
    while (!error) stream.read(buffer, error);
    return {stream.reason().code, std::string(stream.reason().reason.c_str())};
  }
};

int main (int, char *argv[]) {
  std::string port = cases::port_of(argv[1]);
  cases::run([&](const std::string &path) { return std::make_unique<Client>(port, path); }, {});
}
