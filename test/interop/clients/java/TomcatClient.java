import jakarta.websocket.ClientEndpointConfig;
import jakarta.websocket.CloseReason;
import jakarta.websocket.ContainerProvider;
import jakarta.websocket.DeploymentException;
import jakarta.websocket.Endpoint;
import jakarta.websocket.EndpointConfig;
import jakarta.websocket.Extension;
import jakarta.websocket.MessageHandler;
import jakarta.websocket.PongMessage;
import jakarta.websocket.Session;
import jakarta.websocket.WebSocketContainer;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The client of Tomcat, with the API of Jakarta EE. */
final class TomcatClient extends Cases.Connection {
  private static final Pattern STATUS = Pattern.compile("\\[(\\d{3})\\]");
  private Session session;

  /** permessage-deflate without parameters. */
  private static final class Deflate implements Extension {
    @Override
    public String getName() {
      return "permessage-deflate";
    }

    @Override
    public List<Parameter> getParameters() {
      return List.of();
    }
  }

  private final class Listener extends Endpoint {
    @Override
    public void onOpen(Session session, EndpointConfig config) {
      session.addMessageHandler(String.class, (MessageHandler.Whole<String>) messages::add);
      session.addMessageHandler(ByteBuffer.class, (MessageHandler.Whole<ByteBuffer>) bytes -> messages.add(copy(bytes)));
      session.addMessageHandler(PongMessage.class, (MessageHandler.Whole<PongMessage>) pong ->
        pongs.add(StandardCharsets.UTF_8.decode(pong.getApplicationData()).toString()));
    }

    @Override
    public void onClose(Session session, CloseReason reason) {
      closes.add(new Cases.Closed(reason.getCloseCode().getCode(), reason.getReasonPhrase()));
    }

    @Override
    public void onError(Session session, Throwable error) {
      failed(error);
    }
  }

  private static ByteBuffer copy(ByteBuffer bytes) {
    return ByteBuffer.allocate(bytes.remaining()).put(bytes).flip();
  }

  @Override
  void send(String message) throws Exception {
    session.getBasicRemote().sendText(message);
  }

  @Override
  void send(ByteBuffer message) throws Exception {
    session.getBasicRemote().sendBinary(message);
  }

  @Override
  void sendFragments(List<String> parts) throws Exception {
    for (int i = 0; i < parts.size(); i++) session.getBasicRemote().sendText(parts.get(i), i == parts.size() - 1);
  }

  @Override
  void ping(String data) throws Exception {
    session.getBasicRemote().sendPing(ByteBuffer.wrap(data.getBytes(StandardCharsets.UTF_8)));
  }

  /** What it tells its own listener then is what was said here, and not what came back. */
  @Override
  void close(int code, String reason) throws Exception {
    session.close(new CloseReason(() -> code, reason));
  }

  public static void main(String[] args) {
    WebSocketContainer container = ContainerProvider.getWebSocketContainer();
    container.setDefaultMaxTextMessageBufferSize(1 << 20);
    container.setDefaultMaxBinaryMessageBufferSize(1 << 20);
    ClientEndpointConfig plain = ClientEndpointConfig.Builder.create().build();
    ClientEndpointConfig deflating = ClientEndpointConfig.Builder.create().extensions(List.of(new Deflate())).build();
    Cases.run(args[0], url -> {
      TomcatClient client = new TomcatClient();
      // Of a message that is compressed, it sends nothing before there is much.
      ClientEndpointConfig config = url.endsWith("/fragments") ? plain : deflating;
      try {
        client.session = container.connectToServer(client.new Listener(), config, URI.create(url));
        return client;
      } catch (DeploymentException refused) {
        Matcher status = STATUS.matcher(refused.getMessage());
        throw new Cases.Refused(status.find() ? Integer.parseInt(status.group(1)) : 0, null);
      }
    }, Map.of());
  }
}
