import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;

/** The client of the JDK: java.net.http.WebSocket. */
final class JdkClient extends Cases.Connection implements WebSocket.Listener {
  private WebSocket socket;
  private final StringBuilder text = new StringBuilder();
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  @Override
  public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
    text.append(part);
    if (isLast) {
      messages.add(text.toString());
      text.setLength(0);
    }
    socket.request(1);
    return null;
  }

  @Override
  public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean isLast) {
    while (part.hasRemaining()) bytes.write(part.get());
    if (isLast) {
      messages.add(ByteBuffer.wrap(bytes.toByteArray()));
      bytes.reset();
    }
    socket.request(1);
    return null;
  }

  @Override
  public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
    pongs.add(StandardCharsets.UTF_8.decode(data).toString());
    socket.request(1);
    return null;
  }

  @Override
  public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
    closes.add(new Cases.Closed(code, reason));
    return null;
  }

  @Override
  public void onError(WebSocket socket, Throwable error) {
    failed(error);
  }

  @Override
  void send(String message) {
    socket.sendText(message, true).join();
  }

  @Override
  void send(ByteBuffer message) {
    socket.sendBinary(message, true).join();
  }

  @Override
  void sendFragments(List<String> parts) {
    for (int i = 0; i < parts.size(); i++) socket.sendText(parts.get(i), i == parts.size() - 1).join();
  }

  @Override
  void ping(String data) {
    socket.sendPing(ByteBuffer.wrap(data.getBytes(StandardCharsets.UTF_8))).join();
  }

  @Override
  void close(int code, String reason) {
    socket.sendClose(code, reason).join();
  }

  public static void main(String[] args) {
    HttpClient http = HttpClient.newHttpClient();
    Cases.run(args[0], url -> {
      JdkClient client = new JdkClient();
      try {
        client.socket = http.newWebSocketBuilder().buildAsync(URI.create(url), client).join();
        return client;
      } catch (CompletionException failure) {
        if (!(failure.getCause() instanceof WebSocketHandshakeException refused)) throw failure;
        throw new Cases.Refused(refused.getResponse().statusCode(), null);
      }
    }, Map.of("compressed", "it offers no extensions"));
  }
}
