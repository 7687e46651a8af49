require 'socket'
require 'websocket'
require_relative 'cases'

# The gem knows handshakes and frames; the socket is ours.
class Connection
  def initialize(url)
    handshake = WebSocket::Handshake::Client.new(url: url)
    @socket = TCPSocket.new(handshake.host, handshake.port)
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    @socket.write(handshake.to_s)
    handshake << @socket.readpartial(65_536) until handshake.finished?
    raise Cases::Refused, {} unless handshake.valid?
    @version = handshake.version
    @incoming = WebSocket::Frame::Incoming::Client.new(version: @version)
    @incoming << handshake.leftovers if handshake.leftovers
  end

  def send(message)
    write(message.encoding == Encoding::BINARY ? :binary : :text, message)
  end

  def next
    frame = read(:text, :binary)
    frame.type == :text ? frame.to_s.force_encoding('UTF-8') : frame.to_s.b
  end

  def ping(data)
    write(:ping, data)
    read(:pong).to_s
  end

  def close(code, reason)
    write(:close, reason, code: code)
  end

  def closed
    frame = read(:close)
    close(frame.code, '')
    @socket.close
    { code: frame.code, reason: frame.to_s }
  rescue Errno::EPIPE, Errno::ECONNRESET
    { code: frame.code, reason: frame.to_s }
  end

  private

  def write(type, data, **more)
    @socket.write(WebSocket::Frame::Outgoing::Client.new(version: @version, type: type, data: data, **more).to_s)
  end

  def read(*types)
    loop do
      while (frame = @incoming.next)
        return frame if types.include?(frame.type)
        raise "closed with #{frame.code}" if frame.type == :close
        write(:pong, frame.to_s) if frame.type == :ping
      end
      raise "not a frame: #{@incoming.error}" if @incoming.error?
      @incoming << @socket.readpartial(65_536)
    end
  end
end

WebSocket.max_frame_size = 1 << 20
Cases.run(
  ->(url) { Connection.new(url) },
  'fragments' => 'it sends whole messages',
  'compressed' => 'it offers no extensions',
  'close' => 'it takes close reasons with more than ASCII for invalid',
  'closed' => 'it takes close reasons with more than ASCII for invalid'
)
