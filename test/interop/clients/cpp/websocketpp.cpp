#include <deque>

#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_no_tls_client.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>

#include "cases.hpp"

/** The client of the library's examples, with permessage-deflate. */
struct Config : websocketpp::config::asio_client {
  struct permessage_deflate_config {};
  typedef websocketpp::extensions::permessage_deflate::enabled<permessage_deflate_config> permessage_deflate_type;
};

using Endpoint = websocketpp::client<Config>;
using websocketpp::frame::opcode::value;

struct Client : cases::Connection {
  Endpoint endpoint;
  Endpoint::connection_ptr connection;
  bool is_open = false, is_over = false;
  std::deque<cases::Message> messages;
  std::deque<std::string> pongs;

  explicit Client (const std::string &url) {
    endpoint.clear_access_channels(websocketpp::log::alevel::all);
    endpoint.clear_error_channels(websocketpp::log::elevel::all);
    endpoint.init_asio();
    websocketpp::lib::error_code error;
    connection = endpoint.get_connection(url, error);
    connection->set_open_handler([this](auto) { is_open = true; });
    connection->set_fail_handler([this](auto) { is_over = true; });
    connection->set_close_handler([this](auto) { is_over = true; });
    connection->set_message_handler([this](auto, Endpoint::message_ptr message) {
      messages.push_back({message->get_opcode() == value::text, message->get_payload()});
    });
    connection->set_pong_handler([this](auto, std::string data) { pongs.push_back(data); });
    endpoint.connect(connection);
    run_until([this] { return is_open || is_over; });
    if (is_open) return;
    int status = connection->get_response_code();
    if (status == 0) throw std::runtime_error(connection->get_ec().message());
    // The status line and the fields are parsed, the body is not waited for.
    throw cases::Refused{status, std::nullopt};
  }

  template <typename Condition> void run_until (Condition condition) {
    while (!condition()) {
      if (endpoint.run_one() == 0) throw std::runtime_error("nothing is left to wait for");
    }
  }

  void send (const cases::Message &message) override {
    auto error = connection->send(message.data, message.is_text ? value::text : value::binary);
    if (error) throw std::runtime_error(error.message());
  }

  void send_fragments (const std::vector<std::string> &parts) override {
    for (size_t i = 0; i < parts.size(); i++) {
      auto message = connection->get_message(i == 0 ? value::text : value::continuation, parts[i].size());
      message->set_payload(parts[i]);
      message->set_fin(i == parts.size() - 1);
      auto error = connection->send(message);
      if (error) throw std::runtime_error(error.message());
    }
  }

  cases::Message next () override {
    run_until([this] { return is_over || !messages.empty(); });
    if (messages.empty()) throw std::runtime_error("closed while a message was awaited");
    auto message = messages.front();
    messages.pop_front();
    return message;
  }

  std::string ping (const std::string &data) override {
    connection->ping(data);
    run_until([this] { return is_over || !pongs.empty(); });
    return pongs.empty() ? "none" : pongs.front();
  }

  void close (int code, const std::string &reason) override { connection->close(code, reason); }

  cases::Closed closed () override {
    run_until([this] { return is_over; });
    return {connection->get_remote_close_code(), connection->get_remote_close_reason()};
  }
};

int main (int, char *argv[]) {
  std::string url = argv[1];
  cases::run([&](const std::string &path) { return std::make_unique<Client>(url + path); }, {});
}
