// The cases that every client program goes through, for clients in C++.
#pragma once

#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cases {

const std::string TEXT = "Grüße, 你好, 👋";
const std::vector<std::string> PARTS = {"Grüße, ", "你好, ", "👋"};

struct Message {
  bool is_text;
  std::string data;
  bool operator== (const Message &other) const { return is_text == other.is_text && data == other.data; }
};

struct Closed {
  int code;
  std::optional<std::string> reason;
};

struct Connection {
  virtual ~Connection () = default;
  virtual void send (const Message &message) = 0;
  virtual Message next () = 0;
  virtual void send_fragments (const std::vector<std::string> &) { throw std::logic_error("cannot"); }
  /** Sends a Ping, and returns the payload of the Pong. */
  virtual std::string ping (const std::string &) { throw std::logic_error("cannot"); }
  virtual void close (int code, const std::string &reason) = 0;
  /** Waits for the end. */
  virtual Closed closed () = 0;
};

/** What a client tells of a refusal. */
struct Refused {
  std::optional<int> status;
  std::optional<std::string> body;
};

using Open = std::function<std::unique_ptr<Connection>(const std::string &path)>;

inline std::string quote (const std::string &text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c != '\n' && c != '\r') quoted += c;
  }
  return quoted + '"';
}

inline void tell (const std::string &name, const std::string &outcome) {
  std::cout << "{\"case\":" << quote(name) << outcome << "}" << std::endl;
}

inline void expect (Connection &connection, const Message &message) {
  auto answer = connection.next();
  if (!(answer == message)) throw std::runtime_error("another answer of " + std::to_string(answer.data.size()) + " bytes");
}

/** `open` is given the path: "/text". */
inline void run (const Open &open, const std::map<std::string, std::string> &cannot) {
  std::string bytes, large, digits;
  for (int i = 0; i < 256; i++) bytes += static_cast<char>(i);
  for (int i = 0; i < 300000; i++) large += static_cast<char>(i * 7 + (i >> 8));
  for (int i = 0; i < 300000; i++) digits += static_cast<char>('0' + i % 10);

  auto attempt = [&](const std::string &name, const std::function<std::string(Connection &)> &act) {
    if (cannot.count(name)) return tell(name, ",\"cannot\":" + quote(cannot.at(name)));
    try {
      auto connection = open("/" + name);
      tell(name, act(*connection));
    } catch (const Refused &refused) {
      tell(name, (refused.status ? ",\"status\":" + std::to_string(*refused.status) : "") +
        (refused.body ? ",\"body\":" + quote(*refused.body) : ""));
    } catch (const std::exception &error) {
      tell(name, ",\"error\":" + quote(error.what()));
    }
  };
  auto end = [](Connection &connection) {
    connection.close(1000, "");
    connection.closed();
    return std::string();
  };
  auto closed = [](Connection &connection) {
    auto closed = connection.closed();
    return ",\"code\":" + std::to_string(closed.code) + (closed.reason ? ",\"reason\":" + quote(*closed.reason) : "");
  };
  auto echo = [&](std::vector<Message> messages) {
    return [messages, end](Connection &connection) {
      for (auto &message : messages) {
        connection.send(message);
        expect(connection, message);
      }
      return end(connection);
    };
  };

  attempt("text", echo({{true, TEXT}}));
  attempt("binary", echo({{false, bytes}}));
  attempt("empty", echo({{true, ""}, {false, ""}}));
  attempt("large", echo({{false, large}}));
  attempt("fragments", [&](Connection &connection) {
    connection.send_fragments(PARTS);
    expect(connection, {true, TEXT});
    return end(connection);
  });
  for (auto name : {"fragmented", "cut"}) {
    attempt(name, [&](Connection &connection) {
      expect(connection, {true, TEXT});
      connection.send({true, TEXT});
      return end(connection);
    });
  }
  attempt("compressed", echo({{true, digits}, {false, large}, {true, digits}}));
  if (cannot.count("compressing")) tell("compressing", ",\"cannot\":" + quote(cannot.at("compressing")));
  attempt("ping", [&](Connection &connection) {
    if (connection.ping("ping") != "ping") throw std::runtime_error("another Pong");
    return end(connection);
  });
  attempt("pong", [&](Connection &connection) {
    expect(connection, {true, "ponged are you there?"});
    return end(connection);
  });
  attempt("close", [&](Connection &connection) {
    connection.close(4001, "bye, 世界");
    return closed(connection);
  });
  attempt("closed", closed);
  for (std::string status : {"401", "403", "503"}) {
    attempt("refused/" + status, [](Connection &) -> std::string { throw std::runtime_error("it was not refused"); });
  }
}

/** The port in ws://127.0.0.1:port. */
inline std::string port_of (const std::string &url) { return url.substr(url.rfind(':') + 1); }

}
