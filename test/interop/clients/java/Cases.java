import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** The cases that every client program goes through, for clients in Java. */
final class Cases {
  static final String TEXT = "Grüße, 你好, 👋";
  static final List<String> PARTS = List.of("Grüße, ", "你好, ", "👋");

  interface Client {
    Connection open(String url) throws Exception;
  }

  /** One connection; what its client puts into the queues, the cases take out. */
  abstract static class Connection {
    /** Strings and ByteBuffers. */
    final BlockingQueue<Object> messages = new LinkedBlockingQueue<>();
    final BlockingQueue<String> pongs = new LinkedBlockingQueue<>();
    final BlockingQueue<Closed> closes = new LinkedBlockingQueue<>();

    abstract void send(String message) throws Exception;

    abstract void send(ByteBuffer message) throws Exception;

    void sendFragments(List<String> parts) throws Exception {
      throw new UnsupportedOperationException();
    }

    void ping(String data) throws Exception {
      throw new UnsupportedOperationException();
    }

    abstract void close(int code, String reason) throws Exception;

    void failed(Throwable error) {
      messages.add(error);
    }
  }

  record Closed(int code, String reason) {}

  /** What a client tells of a refusal; 0 and null: it does not. */
  static final class Refused extends Exception {
    final int status;
    final String body;

    Refused(int status, String body) {
      this.status = status;
      this.body = body;
    }
  }

  interface Run {
    String run(Connection connection) throws Exception;
  }

  private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private final String url;
  private final Client client;
  private final Map<String, String> cannot;

  private Cases(String url, Client client, Map<String, String> cannot) {
    this.url = url;
    this.client = client;
    this.cannot = cannot;
  }

  static String quote(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ") + '"';
  }

  private void tell(String name, String outcome) {
    out.println("{\"case\":" + quote(name) + outcome + "}");
  }

  private void attempt(String name, Run run) {
    if (cannot.containsKey(name)) {
      tell(name, ",\"cannot\":" + quote(cannot.get(name)));
      return;
    }
    try {
      tell(name, run.run(client.open(url + "/" + name)));
    } catch (Refused refused) {
      String status = refused.status == 0 ? "" : ",\"status\":" + refused.status;
      tell(name, status + (refused.body == null ? "" : ",\"body\":" + quote(refused.body)));
    } catch (Throwable error) {
      tell(name, ",\"error\":" + quote(error.toString()));
    }
  }

  private static void expect(Connection connection, Object message) throws Exception {
    Object answer = connection.messages.take();
    if (!answer.equals(message)) throw new IllegalStateException("another answer: " + answer);
  }

  private static String end(Connection connection) throws Exception {
    connection.close(1000, "");
    connection.closes.take();
    return "";
  }

  private static Run echo(Object... messages) {
    return connection -> {
      for (Object message : messages) {
        if (message instanceof ByteBuffer bytes) connection.send(bytes.duplicate());
        else connection.send((String) message);
        expect(connection, message);
      }
      return end(connection);
    };
  }

  private static String closed(Connection connection) throws Exception {
    Closed closed = connection.closes.take();
    return ",\"code\":" + closed.code + (closed.reason == null ? "" : ",\"reason\":" + quote(closed.reason));
  }

  static void run(String url, Client client, Map<String, String> cannot) {
    new Cases(url, client, cannot).run();
    System.exit(0);
  }

  private void run() {
    byte[] bytes = new byte[256];
    for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) i;
    byte[] large = new byte[300_000];
    for (int i = 0; i < large.length; i++) large[i] = (byte) (i * 7 + (i >> 8));
    String digits = "0123456789".repeat(30_000);

    attempt("text", echo(TEXT));
    attempt("binary", echo(ByteBuffer.wrap(bytes)));
    attempt("empty", echo("", ByteBuffer.allocate(0)));
    attempt("large", echo(ByteBuffer.wrap(large)));
    attempt("fragments", connection -> {
      connection.sendFragments(PARTS);
      expect(connection, TEXT);
      return end(connection);
    });
    for (String name : List.of("fragmented", "cut")) {
      attempt(name, connection -> {
        expect(connection, TEXT);
        connection.send(TEXT);
        return end(connection);
      });
    }
    attempt("compressed", echo(digits, ByteBuffer.wrap(large), digits));
    attempt("ping", connection -> {
      connection.ping("ping");
      if (!connection.pongs.take().equals("ping")) throw new IllegalStateException("another Pong");
      return end(connection);
    });
    attempt("pong", connection -> {
      expect(connection, "ponged are you there?");
      return end(connection);
    });
    attempt("close", connection -> {
      connection.close(4001, "bye, 世界");
      return closed(connection);
    });
    attempt("closed", Cases::closed);
    for (String status : List.of("401", "403", "503")) {
      attempt("refused/" + status, connection -> {
        throw new IllegalStateException("it was not refused");
      });
    }
  }
}
