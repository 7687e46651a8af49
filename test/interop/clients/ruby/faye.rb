require 'eventmachine'
require 'faye/websocket'
require 'fiber'
require_relative 'cases'

# Waits in a fiber for what EventMachine calls back.
class Connection
  def initialize(url)
    @messages = []
    @socket = Faye::WebSocket::Client.new(url)
    @socket.on(:open) { @opened = true; wake }
    @socket.on(:message) do |event|
      @messages << (event.data.is_a?(String) ? event.data : event.data.pack('C*'))
      wake
    end
    @socket.on(:close) { |event| @closed = { code: event.code, reason: event.reason }; wake }
    wait_until { @opened || @closed }
    raise Cases::Refused, { status: @socket.status } unless @opened
  end

  def send(message)
    @socket.send(message.encoding == Encoding::BINARY ? message.bytes : message)
  end

  def next
    wait_until { @closed || @messages.any? }
    @messages.shift || raise('closed while a message was awaited')
  end

  def ping(data)
    answered = false
    @socket.ping(data) { answered = true; wake }
    wait_until { answered }
    data
  end

  def close(code, reason)
    @socket.close(code, reason)
  end

  def closed
    wait_until { @closed }
    @closed
  end

  private

  def wait_until
    @fiber = Fiber.current
    Fiber.yield until yield
  end

  def wake
    fiber = @fiber
    EM.next_tick { fiber.resume if fiber == @fiber && fiber.alive? } if fiber
  end
end

EM.run do
  Fiber.new do
    Cases.run(
      ->(url) { Connection.new(url) },
      'fragments' => 'it sends whole messages',
      'compressed' => 'permessage-deflate of faye-websocket is a gem of its own, which Debian does not have'
    )
    EM.stop
  end.resume
end
