import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.WebSocket;
import okhttp3.WebSocketListener;
import okio.ByteString;

/** The client of OkHttp. */
final class OkHttpClientProgram extends Cases.Connection {
  private WebSocket socket;

  @Override
  void send(String message) {
    socket.send(message);
  }

  @Override
  void send(ByteBuffer message) {
    socket.send(ByteString.of(message));
  }

  @Override
  void close(int code, String reason) {
    socket.close(code, reason);
  }

  public static void main(String[] args) {
    OkHttpClient http = new OkHttpClient();
    Cases.run(args[0], url -> {
      OkHttpClientProgram client = new OkHttpClientProgram();
      CompletableFuture<Void> opened = new CompletableFuture<>();
      client.socket = http.newWebSocket(new Request.Builder().url(url).build(), new WebSocketListener() {
        @Override
        public void onOpen(WebSocket socket, Response response) {
          opened.complete(null);
        }

        @Override
        public void onMessage(WebSocket socket, String text) {
          client.messages.add(text);
        }

        @Override
        public void onMessage(WebSocket socket, ByteString bytes) {
          client.messages.add(bytes.asByteBuffer());
        }

        @Override
        public void onClosing(WebSocket socket, int code, String reason) {
          socket.close(code, reason);
          client.closes.add(new Cases.Closed(code, reason));
        }

        @Override
        public void onFailure(WebSocket socket, Throwable error, Response response) {
          try {
            if (response != null) opened.completeExceptionally(new Cases.Refused(response.code(), response.body().string()));
          } catch (java.io.IOException unreadable) {
            opened.completeExceptionally(unreadable);
          }
          opened.completeExceptionally(error);
          client.failed(error);
        }
      });
      try {
        opened.get();
        return client;
      } catch (ExecutionException failure) {
        throw (Exception) failure.getCause();
      }
    }, Map.of(
      "fragments", "it sends whole messages",
      "compressed", "this version offers no extensions",
      "ping", "it pings by itself, and keeps Pongs to itself"
    ));
  }
}
