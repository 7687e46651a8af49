import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.websocketx.BinaryWebSocketFrame;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.ContinuationWebSocketFrame;
import io.netty.handler.codec.http.websocketx.PingWebSocketFrame;
import io.netty.handler.codec.http.websocketx.PongWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshaker;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshakerFactory;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketFrameAggregator;
import io.netty.handler.codec.http.websocketx.WebSocketVersion;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketClientCompressionHandler;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** The client of Netty. */
final class NettyClient extends Cases.Connection {
  private static final int MAX = 1 << 20;
  private static final NioEventLoopGroup GROUP = new NioEventLoopGroup(1);
  private final CompletableFuture<Void> opened = new CompletableFuture<>();
  private Channel channel;

  /** Does the handshake, and puts frames into the queues. */
  private final class Handler extends SimpleChannelInboundHandler<Object> {
    private final WebSocketClientHandshaker handshaker;

    Handler(URI uri) {
      handshaker = WebSocketClientHandshakerFactory.newHandshaker(uri, WebSocketVersion.V13, null, true, null, MAX);
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
      handshaker.handshake(context.channel());
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, Object message) {
      if (message instanceof FullHttpResponse response) {
        if (response.status().code() == 101) {
          handshaker.finishHandshake(context.channel(), response);
          context.pipeline().addBefore("client", "aggregator", new WebSocketFrameAggregator(MAX));
          opened.complete(null);
        } else {
          opened.completeExceptionally(new Cases.Refused(response.status().code(), response.content().toString(StandardCharsets.UTF_8)));
        }
      } else if (message instanceof TextWebSocketFrame frame) {
        messages.add(frame.text());
      } else if (message instanceof BinaryWebSocketFrame frame) {
        messages.add(ByteBuffer.allocate(frame.content().readableBytes()).put(frame.content().nioBuffer()).flip());
      } else if (message instanceof PingWebSocketFrame frame) {
        context.writeAndFlush(new PongWebSocketFrame(frame.content().retain()));
      } else if (message instanceof PongWebSocketFrame frame) {
        pongs.add(frame.content().toString(StandardCharsets.UTF_8));
      } else if (message instanceof CloseWebSocketFrame frame) {
        closes.add(new Cases.Closed(frame.statusCode(), frame.reasonText()));
        context.writeAndFlush(frame.retain());
      }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable error) {
      opened.completeExceptionally(error);
      failed(error);
    }
  }

  private void write(WebSocketFrame frame) throws Exception {
    channel.writeAndFlush(frame).sync();
  }

  @Override
  void send(String message) throws Exception {
    write(new TextWebSocketFrame(message));
  }

  @Override
  void send(ByteBuffer message) throws Exception {
    write(new BinaryWebSocketFrame(Unpooled.wrappedBuffer(message)));
  }

  @Override
  void sendFragments(List<String> parts) throws Exception {
    write(new TextWebSocketFrame(false, 0, parts.get(0)));
    for (int i = 1; i < parts.size(); i++) write(new ContinuationWebSocketFrame(i == parts.size() - 1, 0, parts.get(i)));
  }

  @Override
  void ping(String data) throws Exception {
    write(new PingWebSocketFrame(Unpooled.copiedBuffer(data, StandardCharsets.UTF_8)));
  }

  @Override
  void close(int code, String reason) throws Exception {
    write(new CloseWebSocketFrame(code, reason));
  }

  public static void main(String[] args) {
    Cases.run(args[0], url -> {
      NettyClient client = new NettyClient();
      URI uri = URI.create(url);
      client.channel = new Bootstrap().group(GROUP).channel(NioSocketChannel.class).handler(new ChannelInitializer<>() {
        @Override
        protected void initChannel(Channel channel) {
          channel.pipeline().addLast(new HttpClientCodec(), new HttpObjectAggregator(MAX), WebSocketClientCompressionHandler.INSTANCE);
          channel.pipeline().addLast("client", client.new Handler(uri));
        }
      }).connect(uri.getHost(), uri.getPort()).sync().channel();
      try {
        client.opened.get();
        return client;
      } catch (ExecutionException failure) {
        throw (Exception) failure.getCause();
      }
    }, Map.of());
  }
}
