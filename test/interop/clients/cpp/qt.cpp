#include <deque>

#include <QCoreApplication>
#include <QEventLoop>
#include <QWebSocket>

#include "cases.hpp"

struct Client : cases::Connection {
  QWebSocket socket;
  bool is_open = false, is_over = false;
  std::deque<cases::Message> messages;
  std::deque<std::string> pongs;

  explicit Client (const std::string &url) {
    QObject::connect(&socket, &QWebSocket::connected, [this] { is_open = true; });
    QObject::connect(&socket, &QWebSocket::disconnected, [this] { is_over = true; });
    QObject::connect(&socket, &QWebSocket::textMessageReceived, [this](const QString &text) { messages.push_back({true, text.toStdString()}); });
    QObject::connect(&socket, &QWebSocket::binaryMessageReceived, [this](const QByteArray &data) { messages.push_back({false, data.toStdString()}); });
    QObject::connect(&socket, &QWebSocket::pong, [this](quint64, const QByteArray &data) { pongs.push_back(data.toStdString()); });
    if (url.find("/fragments") != std::string::npos) socket.setOutgoingFrameSize(8);
    socket.open(QUrl(QString::fromStdString(url)));
    run_until([this] { return is_open || is_over; });
    if (is_open) return;
    // Only in words: "QWebSocketPrivate::processHandshake: Unhandled http status code: 401 (Unauthorized)."
    auto words = socket.errorString().toStdString();
    auto at = words.find("status code: ");
    if (at == std::string::npos) throw std::runtime_error(words);
    throw cases::Refused{std::stoi(words.substr(at + 13)), std::nullopt};
  }

  template <typename Condition> void run_until (Condition condition) {
    while (!condition()) QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
  }

  void send (const cases::Message &message) override {
    if (message.is_text) socket.sendTextMessage(QString::fromStdString(message.data));
    else socket.sendBinaryMessage(QByteArray::fromStdString(message.data));
  }

  void send_fragments (const std::vector<std::string> &) override { send({true, cases::TEXT}); }

  cases::Message next () override {
    run_until([this] { return is_over || !messages.empty(); });
    if (messages.empty()) throw std::runtime_error("closed while a message was awaited");
    auto message = messages.front();
    messages.pop_front();
    return message;
  }

  std::string ping (const std::string &data) override {
    socket.ping(QByteArray::fromStdString(data));
    run_until([this] { return is_over || !pongs.empty(); });
    return pongs.empty() ? "none" : pongs.front();
  }

  void close (int code, const std::string &reason) override {
    socket.close(static_cast<QWebSocketProtocol::CloseCode>(code), QString::fromStdString(reason));
  }

  cases::Closed closed () override {
    run_until([this] { return is_over; });
    return {socket.closeCode(), socket.closeReason().toStdString()};
  }
};

int main (int argc, char *argv[]) {
  QCoreApplication app(argc, argv);
  std::string url = argv[1];
  cases::run([&](const std::string &path) { return std::make_unique<Client>(url + path); }, {
    {"cut", "it takes a text for invalid whose fragments end inside of a character"},
    {"compressed", "it offers no extensions"}
  });
}
